"""Ten minutes at saturation: no error, and no growth."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from benchmarks.case import Case
from benchmarks.machine import say
from benchmarks.serving.made import made
from benchmarks.serving.stand import Stand
from benchmarks.serving.targets import ours

CONNECTIONS = 8
EARLY = 60.0  # seconds until memory is measured first; a tenth of the time where that is shorter
LATE = 5.0  # seconds before the end when it is measured again


def soak(stand: Stand) -> Iterator[Case]:
    """Memory of all processes (PSS), a minute after the start and just before the end."""
    digits = made("digits")
    target = ours(digits.keras)
    load = target.load(*digits.batches(1))
    memory: list[int] = []
    with stand.serving(target, load) as server:
        moments = min(EARLY, stand.seconds / 10), stand.seconds - min(LATE, stand.seconds / 10)
        timers = [
            threading.Timer(moment, lambda: memory.append(server.process.memory())) for moment in moments
        ]
        for timer in timers:
            timer.start()
        figures = server.saturated(load, CONNECTIONS)
        for timer in timers:
            timer.join()
    early, late = memory
    say(f"    {early / 2**20:.1f} MiB, then {late / 2**20:.1f} MiB")
    yield Case(
        "soak",
        late / 2**20,
        early / 2**20,
        "MiB",
        f"memory after {moments[0]:.0f} s of {stand.seconds:.0f} s at {figures.rate:.0f} req/s",
        {"growth": late / early, "errors": figures.errors, "checked": figures.checked},
        figures.failing,
    )
