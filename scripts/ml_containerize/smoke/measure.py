"""Measuring a running server: percentiles, peak memory, and the budgets that they must keep."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from ml_containerize.console import human_size
from ml_containerize.plan.settings.settings import Budgets

_MEMORY_INTERVAL = 0.5  # seconds; adding up a large process' pages takes some milliseconds
_MEGABYTE = 2**20


def percentile(values: Sequence[float], percent: float) -> float | None:
    """The nearest-rank percentile; None of nothing.

    >>> percentile([4.0, 1.0, 3.0, 2.0], 50)
    2.0
    """
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


@dataclass(slots=True)
class Peak:
    """The largest of the values that `read` gave; None as long as it gave none."""

    read: Callable[[], int | None]
    value: int | None = None
    _done: threading.Event = field(default_factory=threading.Event)

    def sample(self) -> None:
        now = self.read()
        if now is not None:
            self.value = max(now, self.value or 0)

    def watch(self) -> None:
        while not self._done.wait(_MEMORY_INTERVAL):
            self.sample()

    def stop(self) -> None:
        self._done.set()


@contextmanager
def watched(read: Callable[[], int | None]) -> Iterator[Peak]:
    """Sample `read` in the background while the block runs."""
    peak = Peak(read)
    thread = threading.Thread(target=peak.watch, name="memory", daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        peak.stop()
        thread.join()


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds from the start to readiness, milliseconds of warm requests, bytes of memory at the peak."""

    startup_seconds: float
    latencies_ms: tuple[float, ...]
    memory_bytes: int | None

    @property
    def p50_ms(self) -> float | None:
        return percentile(self.latencies_ms, 50)

    @property
    def p95_ms(self) -> float | None:
        return percentile(self.latencies_ms, 95)

    def __str__(self) -> str:
        parts = []
        if self.p50_ms is not None and self.p95_ms is not None:
            parts.append(f"latency p50 {self.p50_ms:.1f} ms, p95 {self.p95_ms:.1f} ms")
        if self.memory_bytes is not None:
            parts.append(f"peak memory {human_size(self.memory_bytes)}")
        return " · ".join(parts) or "nothing was measured"


def over_budget(measured: Measured, budgets: Budgets) -> list[str]:
    """Which budgets are exceeded, or cannot be told to be kept because nothing was measured."""
    memory = None if measured.memory_bytes is None else measured.memory_bytes / _MEGABYTE
    checks = (
        ("start-up", measured.startup_seconds, budgets.startup_seconds, "s", "startup-seconds"),
        ("p95 latency", measured.p95_ms, budgets.latency_p95_ms, "ms", "latency-p95-ms"),
        ("peak memory", memory, budgets.memory_mb, "MB", "memory-mb"),
    )
    return [
        f"{what} is {value:.4g} {unit}, over the budget of {budget:g} {unit} ({key})"
        if value is not None
        else f"{what} was not measured, so its budget of {budget:g} {unit} ({key}) is not known to be kept"
        for what, value, budget, unit, key in checks
        if budget is not None and (value is None or value > budget)
    ]
