"""A model that is all computing: what the server costs beside the framework's own throughput."""

from __future__ import annotations

import json
from collections.abc import Iterator

from benchmarks.case import Case
from benchmarks.machine import ROOT, call, say
from benchmarks.serving.environments import interpreter
from benchmarks.serving.load import binary_load
from benchmarks.serving.made import Made, made
from benchmarks.serving.stand import Stand
from benchmarks.serving.targets import ours

CONNECTIONS = (8, 16)


def resnet50(stand: Stand) -> Iterator[Case]:
    """Requests of one binary image, against TensorFlow in a process of its own before and after.

    Each side counts at its best: ours by the number of connections, TensorFlow by the size of its batches.
    """
    model = made("resnet50")
    first = _framework(model, stand.seconds)
    target = ours(model.saved_model)
    load = binary_load(model.name, *model.batches(1))
    with stand.serving(target, load) as server:
        found = {connections: server.busy(load, connections) for connections in CONNECTIONS}
    last = _framework(model, stand.seconds)
    rates = {size: (first[size] + last[size]) / 2 for size in first}
    size = max(rates, key=lambda size: rates[size])
    connections = max(found, key=lambda connections: found[connections].rate)
    best = found[connections]
    yield Case(
        "resnet50",
        best.rate,
        rates[size],
        "images/s",
        f"TensorFlow in its own process, batches of {size}",
        {
            "connections": connections,
            "ours_p50_ms": best.p50 * 1e3,
            "ours_p99_ms": best.p99 * 1e3,
            "drift": last[size] / first[size],
            "ours_checked": best.checked,
        },
        sum(each.failing for each in found.values()),
    )


def _framework(model: Made, seconds: float) -> dict[str, float]:
    """Images a second by batch size."""
    argv = (interpreter("ours"), "-m", "benchmarks.serving.framework", model.folder, str(seconds))
    rates: dict[str, float] = json.loads(call(*argv, cwd=ROOT))
    say(f"  framework alone: {', '.join(f'{rate:.1f} images/s in {size}s' for size, rate in rates.items())}")
    return rates
