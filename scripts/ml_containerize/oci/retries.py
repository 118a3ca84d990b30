"""Trying again: which problems pass by themselves, and how long to wait for them."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from ml_containerize.errors import ContainerizeError

_T = TypeVar("_T")
_FIRST_WAIT = 0.5  # seconds, doubled each time
_LONGEST_WAIT = 30.0
_PATIENCE = 180.0  # seconds; a server that asks for more is told so instead


class Temporary(Exception):
    """A problem worth trying again: `error` is what it becomes when we give up, `wait` what was asked for."""

    def __init__(self, error: ContainerizeError, wait: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.wait = wait  # seconds


@dataclass(frozen=True, slots=True)
class Retries:
    """Exponential back-off with jitter, never shorter than the server asks for."""

    attempts: int = 5
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random  # 0 ≤ jitter < 1

    def run(self, action: Callable[[], _T]) -> _T:
        """The action's result; raises its ContainerizeError after the last attempt."""
        attempt = 0
        while True:
            try:
                return action()
            except Temporary as problem:
                attempt += 1
                self.pause(attempt, problem)

    def pause(self, attempt: int, problem: Temporary) -> None:
        """Wait before the next attempt; raises the problem's error where there is none."""
        wait = max(self._backoff(attempt), problem.wait or 0.0)
        if attempt >= self.attempts or wait > _PATIENCE:
            raise problem.error from problem
        self.sleep(wait)

    def _backoff(self, attempt: int) -> float:
        longest: float = min(_FIRST_WAIT * 2 ** (attempt - 1), _LONGEST_WAIT)
        return longest * (0.5 + self.jitter() / 2)


def parse_retry_after(value: str, now: datetime | None = None) -> float | None:
    """Seconds to wait as a `Retry-After` header says, by number or by date (RFC 9110, section 10.2.3)."""
    if value.strip().isdecimal():
        return float(value)
    with suppress(ValueError, TypeError):
        moment = parsedate_to_datetime(value)
        return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())
    return None
