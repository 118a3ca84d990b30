"""A worker's parts put together: the model that is still to be loaded, the front over it, its connections.

The probes must answer while the model loads: so a worker takes requests at once, and becomes ready later.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import threading
import time
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from serving.auth import KeyRing
from serving.batching import Batcher
from serving.doors.table import routes
from serving.errors import ModelUnusable
from serving.front import Front, Limits
from serving.journal import Journal
from serving.loading import load_served
from serving.logs import log_to_stderr
from serving.runtimes.predictor import PredictorModel
from serving.server.supervisor import MODEL_UNUSABLE, Shared, leave
from serving.server.worker import Worker
from serving.settings import Settings
from serving.state import Ready, State

log = logging.getLogger("serving")

BODIES = 256 * 2**20  # bytes that requests under way may hold, at least four of the largest


def work(settings: Settings, shared: Shared, listener: socket.socket) -> None:
    """Serve in this process until told to stop."""
    log_to_stderr()
    state = State(draining=shared.draining)
    journal = Journal.open(settings)
    front = make_front(settings, state, journal)
    worker = Worker(front, listener, body_seconds=settings.body_timeout, grace=settings.graceful_timeout)

    def load(loop: asyncio.AbstractEventLoop) -> None:
        run = partial(_load, settings, shared, state, journal, loop)
        threading.Thread(target=run, name="load-model", daemon=True).start()

    worker.run(on_start=load)
    if state.ready is not None:
        state.ready.batcher.close()
    journal.close()


def make_front(settings: Settings, state: State, journal: Journal) -> Front:
    """The front over a model that is still to be loaded."""
    keys = KeyRing.from_file(settings.api_keys) if settings.api_keys else None
    table = routes(
        settings.model_name,
        settings.model_version,
        predict_route=settings.predict_route,
        health_route=settings.health_route,
    )

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

    return Front(
        state,
        {(route.method, route.path): route for route in table},
        application,
        limits=Limits(body=settings.max_body, bodies=max(BODIES, 4 * settings.max_body)),
        journal=journal,
        keys=keys,
        probes=state.probes(settings.health_route),
    )


def _deliver(loop: asyncio.AbstractEventLoop, complete: Callable[[], None]) -> None:
    loop.call_soon_threadsafe(complete)


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
            soon=None if isinstance(served.model, PredictorModel) else loop.call_soon,
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
        leave(MODEL_UNUSABLE)
    except BaseException:
        log.critical("the model could not be loaded", exc_info=True)
        shared.now_explained()
        leave(MODEL_UNUSABLE)
