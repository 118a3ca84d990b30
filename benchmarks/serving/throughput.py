"""Requests a second: one row, 32 rows, many connections, images."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from statistics import fmean, median

from benchmarks.case import Case
from benchmarks.machine import say
from benchmarks.serving.load import Load, binary_load
from benchmarks.serving.made import Made, made
from benchmarks.serving.queue_wait import longest_queue_wait
from benchmarks.serving.stand import Figures, Server, Stand
from benchmarks.serving.targets import Target, bare, ours, peers

CONNECTIONS = 8
MANY = 64
ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Best:
    """The fastest of the ways to run one server."""

    target: Target
    figures: Figures
    failing: int  # wrong answers in all ways


def single_row(stand: Stand) -> Iterator[Case]:
    """One row of 64 numbers; ours is measured before and after the peers, in case the machine drifts."""
    digits = made("digits")
    target = ours(digits.keras)
    load = target.load(*digits.batches(1))
    with _serving(stand, target, load) as server:
        first = server.saturated(load, CONNECTIONS)
    others = {name: best_peer(stand, digits, name, 1) for name in peers(digits)}
    with _serving(stand, target, load) as server:
        last = server.saturated(load, CONNECTIONS)
    rate, failing = fmean((first.rate, last.rate)), first.failing + last.failing
    more = {**_latency("ours", first), "drift": last.rate / first.rate, "errors": first.errors + last.errors}
    for other in others.values():
        yield _against("single-row", rate, other, more, failing)


def half_load(stand: Stand) -> Iterator[Case]:
    """p99 against p50 at half the rate of saturation, the median of several rounds: machines drift.

    The same rate to our connections without a model tells what part of the tail is the machine's own.
    """
    digits = made("digits")
    batches = digits.batches(1)
    target, empty = ours(digits.keras), bare()
    load, floor_load = target.load(*batches), empty.load(*batches)
    halves, floors = [], []
    with _serving(stand, target, load) as server, _serving(stand, empty, floor_load) as floor:
        for _ in range(ROUNDS):
            rate = server.saturated(load, CONNECTIONS).rate / 2
            halves.append(server.paced(load, CONNECTIONS, rate))
            floors.append(floor.paced(floor_load, CONNECTIONS, rate))
    half = sorted(halves, key=_tail)[ROUNDS // 2]
    yield Case(
        "half-load",
        half.p99 * 1e3,
        4 * half.p50 * 1e3,
        "ms",
        f"p99 against four times p50 at {half.rate:.0f} req/s",
        {
            **_latency("ours", half),
            "p99_over_p50": _tail(half),
            "rounds": [round(_tail(each), 2) for each in halves],
            "bare_p99_over_p50": median(map(_tail, floors)),
        },
        sum(each.failing for each in halves + floors),
    )


def many_connections(stand: Stand) -> Iterator[Case]:
    """Batches across requests against one call a request, and the longest wait of any request."""
    digits = made("digits")
    found = {}
    for batching in ("auto", "off"):
        target = ours(digits.keras, BATCHING=batching)
        load = target.load(*digits.batches(1))
        with _serving(stand, target, load) as server:
            found[batching] = server.saturated(load, MANY), longest_queue_wait(server.page("/metrics"))
    (auto, waited), (off, _) = found["auto"], found["off"]
    more = {
        **_latency("ours", auto),
        **_latency("other", off),
        "longest_ms": auto.longest * 1e3,
        "longest_queue_wait_ms": waited * 1e3,
        "errors": auto.errors + off.errors,
    }
    failing = auto.failing + off.failing
    yield Case("connections-64", auto.rate, off.rate, "req/s", "ours with BATCHING=off", more, failing)


def rows_32_json(stand: Stand) -> Iterator[Case]:
    """32 rows in one JSON body, against every peer."""
    digits = made("digits")
    figures = _ours_32_rows(stand)[0]
    for name in peers(digits):
        other = best_peer(stand, digits, name, 32)
        yield _against("rows-32-json", figures.rate, other, _latency("ours", figures), figures.failing)


def rows_32_binary(stand: Stand) -> Iterator[Case]:
    """32 rows as a binary tensor, against the best peer's JSON."""
    digits = made("digits")
    figures = _ours_32_rows(stand)[1]
    others = [best_peer(stand, digits, name, 32) for name in peers(digits)]
    best = max(others, key=lambda other: other.figures.rate)
    yield _against("rows-32-binary", figures.rate, best, _latency("ours", figures), figures.failing)


def image_binary(stand: Stand) -> Iterator[Case]:
    """One image of 224 by 224 by 3 float32: a binary tensor against JSON, both ours."""
    image = made("image")
    target = ours(image.keras)
    batches = image.batches(1)
    loads = binary_load(image.name, *batches), target.load(*batches)
    with _serving(stand, target, loads[0]) as server:
        binary, json = (server.saturated(load, CONNECTIONS) for load in loads)
    more = {**_latency("ours", binary), **_latency("other", json), "errors": binary.errors + json.errors}
    failing = binary.failing + json.failing
    yield Case("image-binary", binary.rate, json.rate, "req/s", "the same image as JSON", more, failing)


@cache
def best_peer(stand: Stand, model: Made, name: str, rows: int) -> Best:
    """Measure every way to run this peer and keep the fastest."""
    found = []
    for target in peers(model)[name]:
        load = target.load(*model.batches(rows))
        with _serving(stand, target, load) as server:
            found.append((target, server.saturated(load, CONNECTIONS)))
    target, figures = max(found, key=lambda each: each[1].rate)
    return Best(target, figures, sum(figures.failing for _, figures in found))


@cache
def _ours_32_rows(stand: Stand) -> tuple[Figures, Figures]:
    digits = made("digits")
    target = ours(digits.keras)
    batches = digits.batches(32)
    loads = target.load(*batches), binary_load(digits.name, *batches)
    with _serving(stand, target, loads[0]) as server:
        json, binary = (server.saturated(load, CONNECTIONS) for load in loads)
    return json, binary


def _serving(stand: Stand, target: Target, load: Load) -> AbstractContextManager[Server]:
    say(f"  {target}")
    return stand.serving(target, load)


def _against(case: str, rate: float, other: Best, more: dict[str, object], failing: int) -> Case:
    more = {**more, **_latency("other", other.figures), "other_errors": other.figures.errors}
    return Case(case, rate, other.figures.rate, "req/s", str(other.target), more, failing + other.failing)


def _tail(figures: Figures) -> float:
    return figures.p99 / figures.p50


def _latency(who: str, figures: Figures) -> dict[str, object]:
    return {
        f"{who}_p50_ms": figures.p50 * 1e3,
        f"{who}_p99_ms": figures.p99 * 1e3,
        f"{who}_checked": figures.checked,
    }
