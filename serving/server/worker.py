"""A worker process: an event loop that keeps the connections of one listening socket."""

from __future__ import annotations

import asyncio
import resource
import signal
import socket
from collections.abc import Callable

import uvloop

from serving.front import Front
from serving.server.connection import HEAD_SECONDS, Connection

CONNECTIONS = 16_384  # at once; idle ones cost some kilobytes each
FILES = 256  # that are no connections: libraries, logs, pipes
BACKLOG = 2048
LOOKS = 8  # for late clients, within the shortest time that they have
SECOND_LOOK = 0.05  # seconds between two looks whether the last connection is closed


class Worker:
    """Serves until SIGTERM, and answers what is under way before it returns."""

    def __init__(self, front: Front, listener: socket.socket, *, body_seconds: float, grace: float) -> None:
        """`body_seconds` are a client's for its body, `grace` the last connections'."""
        self.front = front
        self.body_seconds = body_seconds
        self.draining = False
        self._listener = listener
        self._grace = grace
        self._connections: set[Connection] = set()
        self._most = min(CONNECTIONS, _open_files() - FILES)

    def run(self, on_start: Callable[[asyncio.AbstractEventLoop], None]) -> None:
        """`on_start` is called with the loop before the first connection is taken."""
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve(on_start))

    async def _serve(self, on_start: Callable[[asyncio.AbstractEventLoop], None]) -> None:
        self.loop = asyncio.get_running_loop()
        told = asyncio.Event()
        self.loop.add_signal_handler(signal.SIGTERM, told.set)
        on_start(self.loop)
        server = await self.loop.create_server(lambda: Connection(self), sock=self._listener, backlog=BACKLOG)
        self._look_for_late()
        await told.wait()
        server.close()
        await self._drain()

    def opened(self, connection: Connection) -> bool:
        """False where there are too many; it is kept until it has heard so."""
        self._connections.add(connection)
        return len(self._connections) <= self._most

    def closed(self, connection: Connection) -> None:
        self._connections.discard(connection)

    def _look_for_late(self) -> None:
        """One clock for all: a timer for each request would cost more than all of this."""
        now = self.loop.time()
        for connection in [each for each in self._connections if each.due < now]:
            connection.overdue()
        self.loop.call_later(min(self.body_seconds, HEAD_SECONDS) / LOOKS, self._look_for_late)

    async def _drain(self) -> None:
        self.draining = True
        for connection in list(self._connections):
            connection.drain()
        end = self.loop.time() + self._grace
        while self._connections and self.loop.time() < end:
            await asyncio.sleep(SECOND_LOOK)


def _open_files() -> int:
    """As many as this process may have, after asking for all that it may ask for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        hard = soft
    return CONNECTIONS + FILES if hard == resource.RLIM_INFINITY else hard
