"""The tasks that wait for the model: put in by any thread, taken out in batches by one."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from serving.batching.joining import kind
from serving.doors import Task

D = TypeVar("D")


class Full(Exception):
    """As many tasks wait as may wait."""


class Closed(Exception):
    """No more tasks are taken."""


@dataclass(slots=True, eq=False)
class Waiting(Generic[D]):
    """A task, whom to tell its result, and since when it waits, by the monotonic clock in seconds."""

    task: Task
    done: D
    since: float
    kind: object = None  # made when it is first compared


class Queue(Generic[D]):
    """Oldest first. The thread that takes batches out sleeps until as many tasks wait as it wants."""

    def __init__(self, most: int, most_rows: Mapping[str, int]) -> None:
        """`most` tasks may wait; `most_rows` go into a batch of several tasks, by signature."""
        self.most_rows = dict(most_rows)
        self.rows = 0
        self.closed = False
        self._most = most
        self._enough_rows = max(self.most_rows.values(), default=1)
        self._tasks: deque[Waiting[D]] = deque()
        self._lock = threading.Lock()
        self._wanted: int | None = None  # tasks that the sleeping thread waits for
        self._wake = threading.Lock()  # held; released once by whoever takes `_wanted` back to None
        self._wake.acquire()

    def __len__(self) -> int:
        return len(self._tasks)

    def put(self, waiting: Waiting[D], *, wake: bool = True) -> None:
        """Without `wake` who sleeps is left alone: another thread will take it. Raises Full or Closed."""
        with self._lock:
            if self.closed:
                raise Closed
            if len(self._tasks) >= self._most:
                raise Full
            self._tasks.append(waiting)
            self.rows += waiting.task.rows
            wake = wake and self._wanted is not None and self._enough(self._wanted)
            if wake:
                self._wanted = None
        if wake:
            self._wake.release()

    def close(self) -> None:
        """Take no more tasks; who sleeps wakes."""
        with self._lock:
            self.closed = True
            wake, self._wanted = self._wanted is not None, None
        if wake:
            self._wake.release()

    def sleep(self, tasks: int, seconds: float = -1) -> bool:
        """Until so many tasks wait, or rows enough for a batch, or no more will come; False after `seconds`.

        Only one thread may.
        """
        with self._lock:
            if self.closed or self._enough(tasks):
                return True
            self._wanted = tasks
        if self._wake.acquire(timeout=seconds):
            return True
        with self._lock:
            woken, self._wanted = self._wanted is None, None
        if woken:
            self._wake.acquire()
        return woken

    def _enough(self, tasks: int) -> bool:
        return len(self._tasks) >= tasks or self.rows >= self._enough_rows

    def take(self) -> list[Waiting[D]]:
        """The oldest task, and those behind it that fit into the same batch; the others keep their order."""
        with self._lock:
            return self._take() if self._tasks else []

    def _take(self) -> list[Waiting[D]]:
        first = self._tasks.popleft()
        batch, passed, rows = [first], [], first.task.rows
        most = self.most_rows.get(first.task.signature, 1)
        while self._tasks and rows < most > 1:
            other = self._tasks.popleft()
            if rows + other.task.rows <= most and _kind(other) == _kind(first):
                batch.append(other)
                rows += other.task.rows
            else:
                passed.append(other)
        self._tasks.extendleft(reversed(passed))
        self.rows -= rows
        return batch

    def take_older(self, since: float) -> list[Waiting[D]]:
        """Those that wait since before that time."""
        late = []
        with self._lock:
            while self._tasks and self._tasks[0].since < since:
                late.append(self._tasks.popleft())
                self.rows -= late[-1].task.rows
        return late


def _kind(waiting: Waiting[D]) -> object:
    if waiting.kind is None:
        waiting.kind = kind(waiting.task)
    return waiting.kind
