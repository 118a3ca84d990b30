"""Granian around the front: a parent process that supervises, and workers that load the model and serve.

No framework may exist before a worker is forked, and the probes must answer while the model loads: so a
worker accepts requests at once, and becomes ready later.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from mmap import mmap
from typing import Any

from granian.constants import Interfaces, Loops, RuntimeModes
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server import Server as Granian

from serving.auth import KeyRing
from serving.batching import Batcher
from serving.doors.table import routes
from serving.errors import ModelUnusable, SettingWrong
from serving.front import Front, Limits
from serving.journal import Journal
from serving.loading import load_served
from serving.logs import log_to_stderr
from serving.settings import Settings, scratch_folder
from serving.state import Ready, State

log = logging.getLogger("serving")

MODEL_UNUSABLE = 3  # exit status
_LOGS = {  # Granian's lines go where this server's own go
    "version": 1,
    "disable_existing_loggers": False,
    "loggers": {"_granian": {"handlers": [], "propagate": True}},
}
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_HEADER_MILLISECONDS = 10_000
_CONNECTIONS = 16_384  # of one worker; idle ones cost some kilobytes each
_BODIES = 256 * 2**20  # bytes that requests under way may hold, at least four of the largest


class Shared:
    """What parent and workers tell each other: memory that they share over the fork."""

    def __init__(self) -> None:
        self._bytes = mmap(-1, 3)

    @property
    def was_ready(self) -> bool:
        return self._bytes[0] != 0

    def now_ready(self) -> None:
        self._bytes[0] = 1

    @property
    def explained(self) -> bool:
        """A worker has told why it ended."""
        return self._bytes[2] != 0

    def now_explained(self) -> None:
        self._bytes[2] = 1

    def draining(self) -> bool:
        return self._bytes[1] != 0

    def drain(self) -> None:
        self._bytes[1] = 1


class Supervisor(Granian):  # type: ignore[misc, valid-type] # chosen at import, by the interpreter
    """Granian's parent process; replaces a worker that served: one that died loading would only die again."""

    shared: Shared

    @property
    def respawn_failed_workers(self) -> bool:
        return self.shared.was_ready

    @respawn_failed_workers.setter
    def respawn_failed_workers(self, _: bool) -> None:
        """What Granian's constructor assigns does not count."""


def serve(settings: Settings) -> int:
    """Serve until told to stop; 0 where that was asked for, MODEL_UNUSABLE where no model can be served.

    Raises SettingWrong where nothing can listen on the address.
    """
    _try_address(settings)
    shared = Shared()
    server = _supervisor(settings, shared)
    with _metrics_folder(settings.workers):
        try:
            server.serve(target_loader=partial(make_front, settings, shared), wrap_loader=False)
        except SystemExit:
            if not shared.was_ready:
                if not shared.explained:
                    log.critical("no worker lived until the model was ready; a killed one may lack memory")
                return MODEL_UNUSABLE
            raise
    return 0


def _try_address(settings: Settings) -> None:
    """Granian would panic."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        socket.create_server((settings.host, settings.port), family=family).close()
    except OSError as error:
        raise SettingWrong(f"nothing can listen on {settings.address}: {error.strerror}") from error


def _supervisor(settings: Settings, shared: Shared) -> Supervisor:
    server = Supervisor(
        "model",
        settings.host,
        settings.port,
        interface=Interfaces.RSGI,
        workers=settings.workers,
        loop=Loops.auto,
        runtime_mode=RuntimeModes.st,
        websockets=False,
        backpressure=_CONNECTIONS,
        http1_settings=HTTP1Settings(header_read_timeout=_HEADER_MILLISECONDS),
        workers_kill_timeout=settings.graceful_timeout,
        log_level=LogLevels.error,
        log_dictconfig=_LOGS,
    )
    server.shared = shared
    server.on_startup(partial(_listen_to_signals, server, shared, settings))
    return server


def _listen_to_signals(server: Supervisor, shared: Shared, settings: Settings) -> None:
    """On SIGTERM stop being ready, and after the delay stop: load balancers need time to look elsewhere."""

    def stop(number: int, frame: Any) -> None:
        shared.drain()
        if settings.shutdown_delay and number == signal.SIGTERM:
            threading.Timer(settings.shutdown_delay, server.signal_handler_interrupt, (number, frame)).start()
        else:
            server.signal_handler_interrupt(number, frame)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    log.info("listening on http://%s", settings.address)


@contextmanager
def _metrics_folder(workers: int) -> Iterator[None]:
    """Several workers count in files that they share (prometheus_client's multiprocess mode)."""
    if workers == 1:
        yield
        return
    folder = tempfile.mkdtemp(prefix="metrics-", dir=scratch_folder())
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def make_front(settings: Settings, shared: Shared) -> Front:
    """In the worker: the front over a model that is still to be loaded."""
    _end_with_parent()
    log_to_stderr()
    state = State(draining=shared.draining)
    keys = KeyRing.from_file(settings.api_keys) if settings.api_keys else None
    table = routes(
        settings.model_name,
        settings.model_version,
        predict_route=settings.predict_route,
        health_route=settings.health_route,
    )
    journal = Journal.open(settings)

    @cache
    def application() -> Any:
        from serving.app import create_app  # Flask is not needed for the first prediction

        return create_app(
            state,
            table,
            keys=keys,
            metrics=journal.render,
            health_route=settings.health_route,
            max_body=settings.max_body,
        )

    def on_start(loop: asyncio.AbstractEventLoop) -> None:
        load = partial(_load, settings, shared, state, journal, loop)
        threading.Thread(target=load, name="load-model", daemon=True).start()

    def on_stop() -> None:
        if state.ready is not None:
            state.ready.batcher.close()
        journal.close()
        _leave(0)  # without taking the framework apart: that lasts a second, and the loading may be at it

    return Front(
        state,
        {(route.method, route.path): route for route in table},
        application,
        limits=Limits(
            body=settings.max_body,
            bodies=max(_BODIES, 4 * settings.max_body),
            body_seconds=settings.body_timeout,
        ),
        journal=journal,
        keys=keys,
        probes=state.probes(settings.health_route),
        on_start=on_start,
        on_stop=on_stop,
    )


def _end_with_parent() -> None:
    """Let the kernel end this worker where its parent is killed (prctl(2), PR_SET_PDEATHSIG)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _load(
    settings: Settings, shared: Shared, state: State, journal: Journal, loop: asyncio.AbstractEventLoop
) -> None:
    gc.disable()  # imports make a million objects, hardly any garbage: collecting is a tenth of their time
    try:
        started = time.monotonic()
        served = load_served(settings)
        batcher = Batcher(
            served.model,
            settings=settings.batching,
            observe=journal.called,
            deliver=partial(_deliver, loop),
        )
        gc.freeze()  # what a framework has made is not garbage: no collection needs to look through it
        gc.set_threshold(100_000)  # a large body parses into many objects, none of them garbage
        gc.enable()
        journal.ready(served, batcher, time.monotonic() - started)
        state.ready = Ready(served, batcher)
        shared.now_ready()
    except ModelUnusable as error:
        log.critical("%s", error)
        shared.now_explained()
        _leave(MODEL_UNUSABLE)
    except BaseException:
        log.critical("the model could not be loaded", exc_info=True)
        shared.now_explained()
        _leave(MODEL_UNUSABLE)


def _deliver(loop: asyncio.AbstractEventLoop, complete: Callable[[], None]) -> None:
    loop.call_soon_threadsafe(complete)


def _leave(status: int) -> None:
    logging.shutdown()
    sys.stdout.flush()
    os._exit(status)
