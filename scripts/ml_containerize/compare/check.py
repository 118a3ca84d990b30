"""Two images beside each other: first the facts, then what is refused of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ml_containerize.compare.answers import compare_answers
from ml_containerize.compare.interface import breaks
from ml_containerize.compare.words import headline, move_words
from ml_containerize.oci.image import ImageFacts
from ml_containerize.plan.differences import changes, differences
from ml_containerize.results import (
    Change,
    Comparison,
    Outcome,
    Scalar,
    ScanReport,
    SmokeReport,
)

_MEASURED = {  # the report's figure, and how much of it is one of the unit
    "seconds to readiness": ("startup_seconds", 1),
    "latency p50 in ms": ("latency_p50_ms", 1),
    "latency p95 in ms": ("latency_p95_ms", 1),
    "peak memory in MiB": ("memory_bytes", 2**20),
}
_SEVERITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "UNKNOWN")
_SAME = "nothing changed, it is the same image"


@dataclass(frozen=True, slots=True)
class Side:
    """An image, and what its gates found; None where nothing tells."""

    where: str  # what was named, for people
    image: ImageFacts
    smoke: SmokeReport | None = None
    scan: ScanReport | None = None


def compare(before: Side, after: Side) -> Comparison:
    """All that can be told without running either image; raises MalformedContent."""
    differ = differences(before.image, after.image)
    comparison = Comparison(
        Outcome.PASSED,
        before=before.where,
        headline=_SAME if before.image.digest == after.image.digest else headline(differ),
        differences=differ,
        measured=_measured(before, after),
        notices=differ.notices,
    )
    if before.smoke is None or after.smoke is None:
        return _with_notices(comparison, _nothing_asked(before, after))
    return _with_answers(comparison, before.smoke, after.smoke)


def judge(comparison: Comparison, *, predictions: str, interface: str) -> Comparison:
    """Refuse moved predictions and broken clients, unless the settings say that they were meant."""
    problems: list[str] = []
    if predictions != "may-change":
        problems += [f"prediction moved: {move_words(move)}" for move in comparison.moved]
    if interface != "may-change":
        problems += [f"clients break: {text}" for text in comparison.breaks]
    judged = replace(
        comparison, outcome=Outcome.FAILED if problems else comparison.outcome, problems=tuple(problems)
    )
    return _with_notices(judged, _needless(comparison, predictions, interface))


def _needless(comparison: Comparison, predictions: str, interface: str) -> Iterator[str]:
    """A word that stays after it was needed would let the next change pass unseen."""
    if comparison.outcome is Outcome.SKIPPED:
        return
    if predictions == "may-change" and not comparison.moved:
        yield "`predictions: may-change` is set, but no prediction moved: take it out again"
    if interface == "may-change" and not comparison.breaks:
        yield "`interface: may-change` is set, but no client breaks: take it out again"


def _with_answers(comparison: Comparison, before: SmokeReport, after: SmokeReport) -> Comparison:
    answers = compare_answers(before.cases, after.cases)
    known = before.interface is not None and after.interface is not None
    told = replace(
        comparison,
        compared=answers.compared,
        moved=answers.moved,
        breaks=breaks(before.interface, after.interface) if before.interface and after.interface else (),
    )
    notices = [
        *([] if answers.compared else ["no request was asked of both images: no prediction was compared"]),
        *_listed("no longer asked, so not compared", answers.unasked),
        *_listed("answers not kept, so not compared", answers.unkept),
        *([] if known else ["the interface of one image is not known, so it was not compared"]),
    ]
    return _with_notices(told, notices)


def _nothing_asked(before: Side, after: Side) -> Iterator[str]:
    for side in (before, after):
        if side.smoke is None:
            yield f"no smoke report on {side.where} is known: predictions and interface were not compared"
            return


def _listed(what: str, names: tuple[str, ...]) -> list[str]:
    return [f"{what}: {', '.join(names)}"] if names else []


def _measured(before: Side, after: Side) -> tuple[Change, ...]:
    """What was measured of both images, each on the machine of its own run."""
    old, new = _figures(before), _figures(after)
    both = old.keys() & new.keys()
    return changes({name: old[name] for name in both}, {name: new[name] for name in both})


def _figures(side: Side) -> dict[str, Scalar]:
    found: dict[str, Scalar] = {}
    if side.smoke:
        told = {name: (getattr(side.smoke, key), unit) for name, (key, unit) in _MEASURED.items()}
        found |= {name: round(value / unit, 1) for name, (value, unit) in told.items() if value is not None}
    if side.scan and side.scan.outcome is not Outcome.SKIPPED:
        found |= {
            f"{severity} vulnerabilities": side.scan.counts.get(severity, 0) for severity in _SEVERITIES
        }
    return found


def _with_notices(comparison: Comparison, notices: Iterator[str] | list[str]) -> Comparison:
    return replace(comparison, notices=(*comparison.notices, *notices))
