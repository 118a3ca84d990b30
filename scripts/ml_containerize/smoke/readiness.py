"""Waiting for a started container until it can answer, and telling why it cannot."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from ml_containerize.console import human_seconds
from ml_containerize.oci.image import Image
from ml_containerize.smoke.client import Client
from ml_containerize.smoke.engine import (
    PORT_ATTEMPTS,
    Engine,
    NoFreePort,
    PortTaken,
    Server,
    StartFailed,
)
from ml_containerize.smoke.gpus import GpuRequest
from ml_containerize.smoke.measure import Peak, watched

_ANSWER_SECONDS = 60.0  # at least, for one prediction
_INTERVAL = 0.05  # seconds between two looks at a server that is not ready


@dataclass(frozen=True, slots=True)
class Ready:
    """A server that is ready to answer, seconds after its start, with its memory under watch."""

    server: Server
    client: Client
    startup_seconds: float
    memory: Peak


class LostPort(Exception):
    """Another program listens where the container should."""


@contextmanager
def ready_server(
    engine: Engine, image: Image, gpus: GpuRequest, timeout: float, port: int = 0
) -> Iterator[Ready]:
    """Run the image until it answers /readyz with 200, within `timeout` seconds; it ends with the context.

    A port that another program took between its choice and the container's start is given up for another.
    Raises StartFailed, PortTaken, NoFreePort, and what the engine raises.
    """
    for _ in range(PORT_ATTEMPTS):
        with (
            engine.run(image, gpus, port) as server,
            watched(server.memory) as memory,
            closing(Client(server.url, timeout=max(timeout, _ANSWER_SECONDS))) as client,
        ):
            try:
                seconds = wait_until_ready(server, client.unready, timeout)
            except LostPort:
                if port:
                    raise PortTaken(port) from None
                continue
            yield Ready(server, client, seconds, memory)
            return
    raise NoFreePort


def wait_until_ready(
    server: Server,
    unready: Callable[[float], str],
    timeout: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> float:
    """Seconds from the start until the server is ready; raises StartFailed or LostPort.

    `unready` is given the seconds that it may take.
    """
    waited = 0.0
    while True:
        why = unready(max(timeout - waited, _INTERVAL))
        waited = clock() - server.started
        ended = server.ended()
        if (ended or not why) and server.lost_port():
            raise LostPort
        if ended:
            after = human_seconds(waited)
            raise StartFailed(f"the container {ended} after {after}, before it was ready", server.log())
        if not why:
            return waited
        if waited > timeout:
            raise StartFailed(f"the container was not ready within {timeout:g} s: {why}", server.log())
        sleep(_INTERVAL)
