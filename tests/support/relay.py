"""A registry that goes away: connections to it are passed on until something was said through one of them."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self


class Relay:
    """Passes on what reaches `address` to another port here, until `until` was asked and answered."""

    def __init__(self, target: str, until: bytes) -> None:
        host, _, port = target.rpartition(":")
        self._target, self._until = (host, int(port)), until
        self._door = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = [self._door]
        self.closed = False
        self.address = f"localhost:{self._door.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._go_away()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._door.accept()
                far = socket.create_connection(self._target)
                self._open += [near, far]
                asked = threading.Event()
                threading.Thread(target=self._ask, args=(near, far, asked), daemon=True).start()
                threading.Thread(target=self._answer, args=(far, near, asked), daemon=True).start()

    def _ask(self, near: socket.socket, far: socket.socket, asked: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while content := near.recv(1 << 16):
                if self._until in content:
                    asked.set()
                far.sendall(content)
            far.shutdown(socket.SHUT_WR)

    def _answer(self, far: socket.socket, near: socket.socket, asked: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while content := far.recv(1 << 16):
                near.sendall(content)
                if asked.is_set():
                    self.closed = True
                    self._go_away()
            near.shutdown(socket.SHUT_WR)

    def _go_away(self) -> None:
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
