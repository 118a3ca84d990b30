"""How long the next batch waits for more tasks: a pure policy over what was learned from the batches before.

Waiting can only pay where a call costs much whatever its size (`Cost`) and several clients are known
(`Crowd`): a call for all of them saves the fixed cost of another one. Whether it does pay depends on what the
model and the server share, processors and the interpreter's lock, which no formula here knows: so a `Trial`
measures tasks a second with and without waiting in turns, and waits where the difference is certain.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

STEP = 1 / 8  # of a new observation in what is known
TYPICAL_ROWS = 8  # puts the fixed cost and the cost per row on one scale
WORTH_WAITING = 0.1  # the fixed part of a call's cost below which sharing calls saves nothing
EXPECTED = 0.7  # tasks within the fixed part of a call's cost; fewer keep no model busy
BRIEF = 0.0005  # seconds; waking another thread and coming back from it costs as much on a busy machine
GLANCE = 0.02  # of a long call, for those whose requests are being read: it would take a trial minutes
SHORTEST = 0.001  # seconds; threads wake up too late for less
KNOWN_FOR = 32  # batches; who did not ask for twice as long is gone
TURN_BATCHES, TURN_SECONDS = 8, 0.02  # the least that one way is tried for in a row
PAIRS_LEAST, PAIRS_MOST = 4, 16  # of turns in one trial
CERTAIN = 3.0  # standard errors from nothing gained, to begin waiting
STILL_LIKELY = 1.0  # to go on
RELEVANT = 0.03  # of the tasks a second
REST = 16  # times as long as the trial took
IDLE = 0.1  # seconds without a call that no turn may contain


@dataclass(frozen=True, slots=True)
class Cost:
    """A call of `rows` rows takes about `fixed + per_row * rows` seconds."""

    fixed: float = 0.0
    per_row: float = 0.0

    def of(self, rows: int) -> float:
        return self.fixed + self.per_row * rows

    def learn(self, rows: int, seconds: float) -> Cost:
        """Step straight towards what a call took (Kaczmarz): sizes that never vary teach nothing false.

        Before sizes vary, all cost counts as fixed, so that other sizes are tried. A call that took more than
        twice the expected time (a page fault, a compilation) counts as twice.
        """
        if not self.fixed and not self.per_row:
            return Cost(seconds)
        expected = self.of(rows)
        size = rows / TYPICAL_ROWS
        step = STEP * min(seconds - expected, expected) / (1 + size * size)
        return Cost(max(0.0, self.fixed + step), max(0.0, self.per_row + step * size / TYPICAL_ROWS))


@dataclass(frozen=True, slots=True)
class Crowd:
    """How many clients are known: the most tasks that were in flight at once recently."""

    most: int = 0
    before: int = 0
    left: int = KNOWN_FOR

    @property
    def size(self) -> int:
        return max(self.most, self.before)

    def learn(self, in_flight: int) -> Crowd:
        if not self.left:
            return Crowd(in_flight, self.most)
        return Crowd(max(self.most, in_flight), self.before, self.left - 1)


@dataclass(frozen=True, slots=True)
class Turn:
    """A stretch of batches that all waited, or all did not."""

    started: float
    batches: int = 0
    tasks: int = 0

    def over(self, now: float) -> bool:
        return self.batches >= TURN_BATCHES and now - self.started >= TURN_SECONDS

    def learn(self, tasks: int) -> Turn:
        return Turn(self.started, self.batches + 1, self.tasks + tasks)


@dataclass(frozen=True, slots=True)
class Trial:
    """Turns with and without waiting, compared in pairs as a t-test does; then a rest by the verdict."""

    crowd: int = 1  # clients at its beginning; when there are twice as many, another begins
    helped: bool = False  # the last verdict
    waits: bool = False  # in this turn
    rate: float = 0.0  # tasks a second in the last turn without waiting
    pairs: int = 0
    gain: float = 0.0  # mean logarithm of the ratio of the two rates
    spread: float = 0.0  # sum of squared deviations from it (Welford)
    rest: int = 0  # turns until the next trial

    def learn(self, rate: float) -> Trial:
        """A turn ended with `rate` tasks a second."""
        if self.rest:
            return replace(self, rest=self.rest - 1, waits=self.helped and self.rest > 1)
        if not self.waits:
            return replace(self, waits=True, rate=rate)
        return self._compare(math.log(rate / self.rate))

    def _compare(self, gain: float) -> Trial:
        pairs = self.pairs + 1
        mean = self.gain + (gain - self.gain) / pairs
        spread = self.spread + (gain - self.gain) * (gain - mean)
        error = math.sqrt(spread / max(1, pairs - 1) / pairs)
        certain = pairs >= PAIRS_LEAST and abs(mean) > CERTAIN * error
        if not certain and pairs < PAIRS_MOST:
            return Trial(self.crowd, self.helped, pairs=pairs, gain=mean, spread=spread)
        helps = mean > RELEVANT and mean > (STILL_LIKELY if self.helped else CERTAIN) * error
        return Trial(self.crowd, helps, helps, rest=REST * pairs * 2)


_UNTRIED = Trial()


@dataclass(frozen=True, slots=True)
class Called:
    """One call of the model: when it ended, by a clock in seconds, and what was in it."""

    ended: float
    seconds: float
    rows: int
    tasks: int
    in_flight: int  # its tasks and those that waited when it ended
    here: bool = False  # by the thread that submits, where no batch waits for more


@dataclass(frozen=True, slots=True)
class Patience:
    """What was learned, and what follows from it for the next batch."""

    window: float  # seconds that no batch waits longer than
    max_rows: int
    cost: Cost = field(default_factory=Cost)
    crowd: Crowd = field(default_factory=Crowd)
    rate: float = 0.0  # tasks a second, lately
    ended: float = 0.0  # of the last call
    turn: Turn = field(default_factory=lambda: Turn(0.0))
    trial: Trial = field(default_factory=Trial)

    def wait(self, tasks: int, rows: int, waited: float) -> float:
        """Seconds in which one more task has to come, or the batch goes; 0 where it goes at once."""
        left = self.window - waited
        if tasks >= self.crowd.size or rows >= self.max_rows or left <= 0:
            return 0.0
        if not self.trial.waits:
            glance = GLANCE * self.cost.of(rows)
            return min(left, glance) if glance >= SHORTEST else 0.0
        fixed = self.cost.fixed
        if fixed < WORTH_WAITING * self.cost.of(rows) or self.rate * fixed < EXPECTED:
            return 0.0
        return min(left, fixed)

    def brief(self, rows: int) -> bool:
        """Whether a call is known to be over before another thread would have begun with it."""
        return rows <= self.max_rows and 0 < self.cost.of(rows) < BRIEF

    def retry_after(self, tasks: int) -> int:
        """Whole seconds, 1 to 30, until so many tasks are answered at the latest speed."""
        return max(1, min(30, math.ceil(tasks / self.rate))) if self.rate else 30

    def learn(self, call: Called) -> Patience:
        crowd = self.crowd.learn(call.in_flight)
        elapsed = max(call.ended - self.ended, call.seconds, 1e-9)
        turn, trial = self._try(call, crowd, elapsed) if not call.here else (Turn(call.ended), self.trial)
        return Patience(
            self.window,
            self.max_rows,
            self.cost.learn(call.rows, call.seconds),
            crowd,
            self.rate + STEP * (call.tasks / elapsed - self.rate),
            call.ended,
            turn,
            trial,
        )

    def _try(self, call: Called, crowd: Crowd, elapsed: float) -> tuple[Turn, Trial]:
        if crowd.size < 2 or not self.window:
            return self.turn, _UNTRIED
        if crowd.size >= 2 * self.trial.crowd:
            return Turn(call.ended), Trial(crowd.size)
        if elapsed - call.seconds > IDLE:
            return Turn(call.ended), self.trial
        turn = self.turn.learn(call.tasks)
        if not turn.over(call.ended):
            return turn, self.trial
        return Turn(call.ended), self.trial.learn(turn.tasks / (call.ended - turn.started))
