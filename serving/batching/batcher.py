"""The thread that calls the model, and how its answers reach who asked."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from serving.batching.joining import joined, parted, takes_any_rows
from serving.batching.patience import Called, Patience
from serving.batching.queue import Closed, Full, Queue, Waiting
from serving.doors import Outputs, Task
from serving.errors import Busy, one_line
from serving.runtimes import Model

log = logging.getLogger("serving")

Result = Outputs | BaseException
Done = Callable[[Result], None]
Deliver = Callable[[Callable[[], None]], None]
Soon = Callable[[Callable[[], None]], object]

STOPPED = 5  # seconds until another server will have taken over


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """How tasks are queued and joined."""

    enabled: bool = True  # False calls the model for every task alone, in order
    max_rows: int = 64  # in one call of several tasks; a larger task goes alone, whole
    window: float = 0.005  # most seconds that a batch waits for more tasks
    queue: int = 1024  # tasks that may wait
    timeout: float = 30.0  # seconds that a task may wait


class Observe(Protocol):
    """Told of every call of the model, in the thread that makes it, after the answers were handed over."""

    def __call__(self, rows: int, seconds: float, waits: Sequence[float]) -> None:
        """The call's rows, how long it took, and how long each of its tasks had waited, in seconds."""


class _Answer:
    """A result that a thread waits for."""

    __slots__ = ("_here", "_result")

    def __init__(self) -> None:
        self._here = threading.Lock()
        self._here.acquire()

    def __call__(self, result: Result) -> None:
        self._result = result
        self._here.release()

    def wait(self) -> Outputs:
        self._here.acquire()
        if isinstance(self._result, BaseException):
            raise self._result
        return self._result


class Batcher:
    """Takes tasks from any thread; one thread of its own calls the model, with many tasks at a time."""

    def __init__(
        self,
        model: Model,
        *,
        settings: BatchSettings,
        observe: Observe,
        deliver: Deliver | None = None,
        soon: Soon | None = None,
        patience: Patience | None = None,
    ) -> None:
        """`deliver` is handed one callable for each call of the model, which completes its tasks: an event
        loop's `call_soon_threadsafe`; by default the model's thread calls it at once. `soon` lets the thread
        that submits, and only that one, run a callable when it has submitted all that it has: an event loop's
        `call_soon`. `patience` is what is known of the model and its clients already.
        """
        self._model = model
        self._settings = settings
        self._observe = observe
        self._deliver = deliver or _at_once
        self._soon = soon if settings.enabled else None
        self._coming = False  # a call in the submitting thread
        self._calling = threading.Lock()  # held by the thread that calls the model
        most_rows = {
            name: settings.max_rows if settings.enabled and takes_any_rows(signature) else 1
            for name, signature in model.signatures.items()
        }
        self._queue: Queue[Done] = Queue(settings.queue, most_rows)
        window = settings.window if max(most_rows.values(), default=1) > 1 else 0.0
        self._patience = patience or Patience(window, settings.max_rows)
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=run, name=name, daemon=True)
            for name, run in (("model", self._call_until_closed), ("queue-watch", self._refuse_late))
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Tasks in the queue."""
        return len(self._queue)

    def submit(self, task: Task, done: Done) -> None:
        """Queue a task; `done` gets its outputs, or what went wrong, Busy after `timeout`. Raises Busy."""
        here = self._soon is not None and self._patience.brief(self._queue.rows + task.rows)
        self._put(task, done, wake=not here)
        if here:
            self._come_soon()

    def _put(self, task: Task, done: Done, *, wake: bool = True) -> None:
        try:
            self._queue.put(Waiting(task, done, time.monotonic()), wake=wake)
        except Full:
            raise self._busy("the queue is full", "queue_full") from None
        except Closed:
            raise Busy("the server is stopping", STOPPED, "stopping") from None

    def predict(self, task: Task) -> Outputs:
        """Queue a task and wait for its outputs; raises Busy, or whatever the model raises."""
        answer = _Answer()
        self._put(task, answer)
        return answer.wait()

    def close(self) -> None:
        """Take no more tasks, finish those that wait, and end the threads."""
        self._queue.close()
        for thread in self._threads:
            thread.join()

    def _busy(self, reason: str, kind: str) -> Busy:
        return Busy(reason, self._patience.retry_after(len(self._queue)), kind)

    # In the thread that submits.

    def _come_soon(self) -> None:
        if self._soon is not None and not self._coming:
            self._coming = True
            self._soon(self._call_here)

    def _call_here(self) -> None:
        """Call the model for what waits; where its own thread is at it, that takes what waits next."""
        self._coming = False
        if not self._calling.acquire(blocking=False):
            return
        try:
            if batch := self._queue.take():
                self._answer(batch, _at_once)
        except BaseException:
            log.critical("the batcher failed", exc_info=True)
        finally:
            self._calling.release()
        if len(self._queue):
            self._come_soon()

    # In the model's thread.

    def _call_until_closed(self) -> None:
        more = True
        while more:
            try:
                more = self._step()
            except BaseException:  # a fault of this module must not leave clients without an answer for good
                log.critical("the batcher failed", exc_info=True)
        self._ended.set()

    def _step(self) -> bool:
        """Wait for tasks and answer one batch of them; False after the last. Keeps nothing of them."""
        self._queue.sleep(1)
        self._linger()
        closed = self._queue.closed  # before the last look: what comes after it is refused
        with self._calling:
            batch = self._queue.take()
            if batch:
                self._answer(batch, self._deliver)
        return bool(batch) or not closed

    def _linger(self) -> None:
        """Wait for more tasks while they keep coming and it is known to help."""
        started = time.monotonic()
        while True:
            tasks = len(self._queue)
            seconds = self._patience.wait(tasks, self._queue.rows, time.monotonic() - started)
            if not seconds or self._queue.sleep(self._patience.crowd.size, seconds):
                return
            if len(self._queue) <= tasks:
                return

    # In either.

    def _answer(self, batch: list[Waiting[Done]], deliver: Deliver) -> bool:
        """Call the model and hand over what it gave; a batch that fails is called task by task."""
        started = time.monotonic()
        tasks = [waiting.task for waiting in batch]
        try:
            outputs = self._model.predict(joined(tasks), tasks[0].signature)
            results: Sequence[Result] = parted(outputs, tasks)
        except BaseException as error:
            if len(batch) > 1:
                self._answer_one_by_one(batch, error, deliver)
            else:
                self._hand_over(batch, [_transportable(error)], deliver)
            return False
        ended = time.monotonic()
        in_flight = len(batch) + len(self._queue)
        self._hand_over(batch, results, deliver)
        rows = sum(task.rows for task in tasks)
        call = Called(ended, ended - started, rows, len(batch), in_flight, here=deliver is not self._deliver)
        self._note(call, [started - waiting.since for waiting in batch])
        return True

    def _note(self, call: Called, waits: Sequence[float]) -> None:
        self._patience = self._patience.learn(call)
        try:
            self._observe(call.rows, call.seconds, waits)
        except Exception as error:
            log.error("a call could not be observed: %s", one_line(error), exc_info=error)

    def _answer_one_by_one(self, batch: list[Waiting[Done]], error: BaseException, deliver: Deliver) -> None:
        """Where each succeeds alone, they were too many: from now on half as many go into one call."""
        answered = [self._answer([waiting], deliver) for waiting in batch]
        if all(answered):
            rows = sum(waiting.task.rows for waiting in batch)
            most = self._queue.most_rows[batch[0].task.signature] = max(1, rows // 2)
            log.warning("%d rows at once failed, %d are tried next: %s", rows, most, one_line(error))

    # In any thread.

    def _hand_over(self, batch: Iterable[Waiting[Done]], results: Iterable[Result], deliver: Deliver) -> None:
        """Threads that wait get theirs here, whether an event loop runs or not; others by `deliver`."""
        others = []
        for waiting, result in zip(batch, results, strict=True):
            if isinstance(waiting.done, _Answer):
                waiting.done(result)
            else:
                others.append((waiting.done, result))
        if others:
            try:
                deliver(lambda: _complete(others))
            except Exception as error:  # such as a closed event loop, whose clients are gone
                log.error("%d answers could not be delivered: %s", len(others), one_line(error))

    # In the watching thread: the model's own may be held up by a call.

    def _refuse_late(self) -> None:
        while not self._ended.wait(max(self._settings.timeout / 20, 0.005)):
            late = self._queue.take_older(time.monotonic() - self._settings.timeout)
            reason = f"the model was not free within {self._settings.timeout:g} seconds"
            self._hand_over(late, [self._busy(reason, "timeout") for _ in late], self._deliver)
            del late


def _at_once(complete: Callable[[], None]) -> None:
    complete()


def _complete(results: Iterable[tuple[Done, Result]]) -> None:
    for done, result in results:
        try:
            done(result)
        except BaseException as error:  # the others' answers go out all the same
            log.error("an answer was not taken: %s", one_line(error), exc_info=error)


def _transportable(error: BaseException) -> Exception:
    """The error itself, or around it one that passes through an event loop without ending or confusing it."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    failure = RuntimeError(f"the model raised {type(error).__name__}")
    failure.__cause__ = error
    return failure
