"""A limit on how long clients may take to send: one clock for all, as a timer for each costs too much."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Any

from serving.errors import TooSlow

LOOKS = 8  # within the time that a client has


class SendingTime:
    """A context in which an asyncio task may stay for so many seconds, and an eighth more; raises TooSlow."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: dict[asyncio.Task[Any], float] = {}  # the oldest first
        self._overdue: set[asyncio.Task[Any]] = set()

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look after the tasks of this loop from now on."""
        limit = time.monotonic() - self._seconds
        for task, since in self._since.items():
            if since > limit:
                break
            if task not in self._overdue:
                self._overdue.add(task)
                task.cancel()
        loop.call_later(self._seconds / LOOKS, self.watch, loop)

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - only tasks wait
        self._since[task] = time.monotonic()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101
        del self._since[task]
        if task in self._overdue:
            self._overdue.discard(task)
            if task.uncancel() == 0 and kind is asyncio.CancelledError:
                raise TooSlow(f"the body was not here after {self._seconds:g} seconds") from None
