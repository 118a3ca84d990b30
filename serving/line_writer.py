"""Lines for a file or a pipe, written by a thread of their own: whoever logs never waits for who reads.

Lines gather for a tenth of a second and are written together. Where the reader is too slow, or gone, they are
dropped and counted.
"""

from __future__ import annotations

import atexit
import logging
import os
import select
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Generic, Protocol, TypeVar

log = logging.getLogger("serving")

GATHER = 0.1  # seconds that a line waits for others
MOST_PENDING = 16 * 2**20  # bytes, beyond which lines are dropped

Item = TypeVar("Item")


class Sink(Protocol):
    """Where whole lines go; raises OSError where they cannot be written."""

    def write(self, lines: bytes) -> None: ...


class LineWriter(Generic[Item]):
    """A bounded queue of items, and the thread that renders and writes them."""

    def __init__(
        self,
        sink: Sink,
        render: Callable[[Item], bytes],
        *,
        most_pending: int = MOST_PENDING,
        on_drop: Callable[[int], None] = lambda _lines: None,
    ) -> None:
        """`render`, called in the thread, gives a line with its end; `on_drop` is told how many were lost."""
        self._sink = sink
        self._render = render
        self._most_pending = most_pending
        self._on_drop = on_drop
        self._items: list[Item] = []
        self._size = 0
        self._lock = threading.Lock()
        self._some = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._failing = False

    def put(self, item: Item, size: int) -> None:
        """Queue an item that holds `size` bytes, or drop it where too much is waiting; quick in any case."""
        with self._lock:
            if taken := self._size + size <= self._most_pending and not self._closing.is_set():
                self._size += size
                self._items.append(item)
                if len(self._items) == 1:
                    self._wake()
        if not taken:
            self._on_drop(1)

    def close(self, timeout: float = 1.0) -> None:
        """Write what is queued, but return after `timeout` seconds; later items are dropped."""
        self._closing.set()
        self._some.set()
        if self._thread is not None:
            self._thread.join(timeout)
        atexit.unregister(self.close)

    def _wake(self) -> None:
        if self._thread is None:  # not before there is work: a thread does not survive a fork
            self._thread = threading.Thread(target=self._run, name="line-writer", daemon=True)
            self._thread.start()
            atexit.register(self.close)
        self._some.set()

    def _run(self) -> None:
        while not self._closing.is_set():
            self._some.wait()
            self._closing.wait(GATHER)
            with self._lock:
                items, self._items, self._size = self._items, [], 0
                self._some.clear()
            for lines in _together(map(self._rendered, items)):
                self._write(lines)

    def _rendered(self, item: Item) -> bytes:
        try:
            return self._render(item)
        except Exception as error:
            self._lost(1, error)
            return b""

    def _write(self, lines: bytes) -> None:
        try:
            self._sink.write(lines)
        except OSError as error:
            self._lost(lines.count(b"\n"), error)
        else:
            self._failing = False

    def _lost(self, lines: int, error: Exception) -> None:
        if not self._failing:  # the first of a row tells enough
            log.warning("log lines are lost: %s", error)
        self._failing = True
        self._on_drop(lines)


def _together(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Join lines up to what a pipe takes in one piece: several processes may share it (POSIX, write)."""
    piece: list[bytes] = []
    size = 0
    for line in lines:
        if piece and size + len(line) > select.PIPE_BUF:
            yield b"".join(piece)
            piece, size = [], 0
        piece.append(line)
        size += len(line)
    if size:
        yield b"".join(piece)


class Descriptor:
    """An open file, pipe or terminal, under a number of its own.

    When stdout is closed, the next socket gets its number; log lines must not go to a client.
    """

    def __init__(self, number: int) -> None:
        try:
            self._number = os.dup(number)
        except OSError:  # closed already; every write will say so
            self._number = -1

    def write(self, lines: bytes) -> None:
        rest = memoryview(lines)
        while rest:
            try:
                rest = rest[os.write(self._number, rest) :]
            except BlockingIOError:
                select.select([], [self._number], [])


class AppendedFile:
    """A file that grows at its end and is opened anew when it was rotated away."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._number: int | None = None

    def write(self, lines: bytes) -> None:
        os.write(self._current(), lines)

    def _current(self) -> int:
        if self._number is not None and not self._is_at_its_path(self._number):
            os.close(self._number)
            self._number = None
        if self._number is None:
            self._number = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        return self._number

    def _is_at_its_path(self, number: int) -> bool:
        try:
            return os.path.samestat(self._path.stat(), os.fstat(number))
        except FileNotFoundError:
            return False
