"""A small world of clients, parsing and a model in simulated time, to see what a policy does in it."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from serving.batching.patience import Called, Patience


@dataclass(slots=True)
class World:
    """Clients that ask again once they are answered, or at random with `rate` requests a second.

    Parsing one request takes `parse` seconds, a call of the model `fixed + per_row * rows`. `shared` says
    that the two cannot happen at the same time. All durations vary by `noise`.
    """

    patience: Patience
    clients: int = 1
    rate: float = 0.0
    parse: float = 0.0001
    fixed: float = 0.0005
    per_row: float = 0.000005
    shared: bool = False
    noise: float = 0.1
    random: Random = field(default_factory=lambda: Random(1))
    now: float = 0.0
    answered: int = 0
    calls: int = 0
    waited: float = 0.0  # by the model's thread, for more tasks
    _events: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _count: int = 0
    _unparsed: int = 0
    _queue: int = 0
    _parsing: bool = False
    _calling: bool = False
    _lingers: int = 0  # number of the present pause, 0 for none
    _since: float = 0.0

    def run(self, seconds: float) -> World:
        """Live on for so long, counting anew."""
        until, self.answered, self.calls, self.waited = self.now + seconds, 0, 0, 0.0
        if not self._events and not self._calling:
            for _ in range(self.clients):
                self._at(0.0, self._arrive)
        while self._events and self._events[0][0] <= until:
            self.now, _, event = heapq.heappop(self._events)
            event()
        return self

    @property
    def tasks_per_call(self) -> float:
        return self.answered / self.calls

    def _at(self, delay: float, event: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (self.now + delay, self._count, event))

    def _lasting(self, seconds: float) -> float:
        return seconds * self.random.lognormvariate(0, self.noise)

    def _arrive(self) -> None:
        self._unparsed += 1
        if self.rate:
            self._at(self.random.expovariate(self.rate), self._arrive)
        self._go_on()

    def _go_on(self) -> None:
        """Whoever can go on does; where only one can, chance decides."""
        last = self.shared and self._unparsed and self.random.random() < 0.5
        if self._queue and not self._calling and not last and not (self.shared and self._parsing):
            self._decide()
        if self._unparsed and not self._parsing and not (self.shared and self._calling):
            self._parsing = True
            self._unparsed -= 1
            self._at(self._lasting(self.parse), self._parsed)

    def _parsed(self) -> None:
        self._parsing = False
        self._queue += 1
        self._go_on()

    def _decide(self) -> None:
        if not self._lingers:
            self._since = self.now
        elif self._queue < min(self.patience.crowd.size, self.patience.max_rows):
            return
        self._linger(self._queue)

    def _linger(self, before: int) -> None:
        seconds = self.patience.wait(self._queue, self._queue, self.now - self._since)
        if not seconds:
            self._call()
            return
        self._count += 1
        self._lingers = number = self._count
        self._at(seconds, lambda: self._waited(number, before))

    def _waited(self, number: int, before: int) -> None:
        if number != self._lingers:
            return
        if self._queue > before:
            self._linger(self._queue)
        elif not (self.shared and self._parsing):
            self._call()
        else:
            self._at(self.parse / 10, lambda: self._waited(number, before))

    def _call(self) -> None:
        self.waited += self.now - self._since
        self._lingers = 0
        self._calling = True
        tasks = min(self._queue, self.patience.max_rows)
        self._queue -= tasks
        seconds = self._lasting(self.fixed + self.per_row * tasks)
        self._at(seconds, lambda: self._called(tasks, seconds))

    def _called(self, tasks: int, seconds: float) -> None:
        self._calling = False
        self.patience = self.patience.learn(Called(self.now, seconds, tasks, tasks, tasks + self._queue))
        self.answered += tasks
        self.calls += 1
        if not self.rate:
            for _ in range(tasks):
                self._at(self._lasting(0.00005), self._arrive)
        self._go_on()
