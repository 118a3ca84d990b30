"""gunicorn around the application: one worker process, the model loaded in it by a thread.

TensorFlow must not exist before the fork, and the probes must answer while it loads: so the worker accepts
requests at once and becomes ready later.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import threading
from mmap import mmap
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.errors import HaltServer

from serving.access_log import JsonLogger
from serving.app import create_app
from serving.errors import ModelUnusable
from serving.loading import load_ready
from serving.logs import log_to_stderr
from serving.runtimes import Model
from serving.settings import SHARED_MEMORY, Settings

log = logging.getLogger("serving")

BOOT_ERROR = 3  # a worker that ends with it ends the server, too, with the same status (gunicorn's arbiter)


class Server(BaseApplication):  # type: ignore[misc] # gunicorn is untyped
    """gunicorn's application: settings in, the Flask app out, in the worker."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._model: Model | None = None
        self._was_ready = mmap(-1, 1)  # memory that the worker shares with the process that forks it
        super().__init__()

    def load_config(self) -> None:
        settings = self._settings
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        for name, value in {
            "bind": f"{host}:{settings.port}",
            "workers": 1,
            "worker_class": "gthread",
            "threads": settings.threads,
            "timeout": 0,  # importing TensorFlow may hold the interpreter for long; /healthz is the watchdog
            "graceful_timeout": settings.graceful_timeout,
            "keepalive": 75,  # longer than a load balancer's idle time, so that it is the one to close
            "worker_tmp_dir": SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else tempfile.gettempdir(),
            "accesslog": "-",
            "logger_class": JsonLogger,
            "post_worker_init": self._start_loading,
            "worker_exit": _leave_at_once,
            "child_exit": self._give_up_unless_it_was_ready,
        }.items():
            self.cfg.set(name, value)
        if "control_socket_disable" in self.cfg.settings:  # gunicorn 25 and newer write one to the folder
            self.cfg.set("control_socket_disable", True)

    def load(self) -> Flask:
        settings = self._settings
        return create_app(
            lambda: self._model,
            about=settings.about,
            max_body=settings.max_body,
            max_rows=settings.max_rows,
        )

    def _start_loading(self, _worker: Any) -> None:
        log_to_stderr()
        threading.Thread(target=self._load_model, name="load-model", daemon=True).start()

    def _load_model(self) -> None:
        try:
            self._model = load_ready(self._settings.model_path, self._settings.model_format)
            self._was_ready[0] = 1
        except ModelUnusable as error:
            log.critical("%s", error)
            os._exit(BOOT_ERROR)
        except BaseException:
            log.critical("the model could not be loaded", exc_info=True)
            os._exit(BOOT_ERROR)

    def _give_up_unless_it_was_ready(self, arbiter: Any, _worker: Any) -> None:
        """A worker that served is replaced; one that died while loading would only die again."""
        if arbiter.LISTENERS and not self._was_ready[0]:
            log.critical("the worker died before the model was ready; perhaps the memory is too small for it")
            raise HaltServer("no worker", BOOT_ERROR)


def _leave_at_once(_arbiter: Any, _worker: Any) -> None:
    """End the worker without taking TensorFlow apart: that lasts a second, and the loading may be at it."""
    error = sys.exc_info()[1]
    if isinstance(error, SystemExit) and not error.code:
        logging.shutdown()
        os._exit(0)
