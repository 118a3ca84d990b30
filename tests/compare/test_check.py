from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from doubles.images import write_image

from ml_containerize.compare.check import Side, compare, judge
from ml_containerize.compare.words import as_text, headline
from ml_containerize.oci.image import Image
from ml_containerize.results import (
    Answered,
    CaseResult,
    Change,
    Comparison,
    Differences,
    Interface,
    Move,
    Outcome,
    ScanReport,
    SmokeReport,
    Tensor,
)

MOVED = Comparison(Outcome.PASSED, moved=(Move("seven", 0.5, 0.25, "1 of 10 values"),))
BROKEN = Comparison(Outcome.PASSED, breaks=("input 'image' is gone",))


@pytest.fixture
def image(tmp_path: Path) -> Image:
    return write_image(tmp_path / "one", {"bin/sh": b"base"}, {"opt/ml": b"model"}, kinds=("", "model"))


def asked(value: float, **changes: object) -> SmokeReport:
    """A report on one case that was answered with one number."""
    case = CaseResult("seven", True, 1.0, request="r", answered=Answered(200, "f", 1, (value,)))
    interface = Interface((Tensor("x", "FP32", (-1,)),), (Tensor("y", "FP32", (-1,)),))
    report = SmokeReport(Outcome.PASSED, startup_seconds=2.0, cases=(case,), interface=interface)
    return replace(report, **changes)  # type: ignore[arg-type]


def test_moved_predictions_are_refused_until_they_were_meant() -> None:
    refused = judge(MOVED, predictions="must-match", interface="compatible")
    assert refused.outcome is Outcome.FAILED
    assert refused.problems == ("prediction moved: seven: 1 of 10 values moved, by 0.5 at most (25.0%)",)
    meant = judge(MOVED, predictions="may-change", interface="compatible")
    assert (meant.outcome, meant.problems, meant.notices) == (Outcome.PASSED, (), ())


def test_clients_that_break_are_refused_until_it_was_meant() -> None:
    refused = judge(BROKEN, predictions="may-change", interface="compatible")
    assert refused.problems == ("clients break: input 'image' is gone",)
    assert judge(BROKEN, predictions="must-match", interface="may-change").outcome is Outcome.PASSED


def test_a_word_that_is_needed_no_more_is_told_to_be_taken_out() -> None:
    judged = judge(Comparison(Outcome.PASSED), predictions="may-change", interface="may-change")
    assert [notice.partition(" is set")[0] for notice in judged.notices] == [
        "`predictions: may-change`",
        "`interface: may-change`",
    ]


def test_answers_interfaces_and_figures_of_both_sides_are_compared(image: Image) -> None:
    before = Side("before", image, asked(1.0), ScanReport(Outcome.PASSED, counts={"HIGH": 1}))
    after = Side("after", image, asked(2.0, startup_seconds=3.0), ScanReport(Outcome.PASSED, counts={}))
    found = compare(before, after)
    assert (found.compared, found.moved[0].absolute, found.breaks) == (1, 1.0, ())
    assert found.measured == (
        Change("HIGH vulnerabilities", 1, 0),
        Change("seconds to readiness", 2.0, 3.0),
    )
    assert found.headline == "nothing changed, it is the same image"


def test_figures_are_compared_as_people_read_them(image: Image) -> None:
    before = Side("before", image, asked(1.0, latency_p50_ms=4.7742, memory_bytes=113_745_920))
    after = Side("after", image, asked(1.0, latency_p50_ms=4.7811, memory_bytes=213_745_920))
    assert compare(before, after).measured == (Change("peak memory in MiB", 108.5, 203.8),)


def test_figures_that_only_one_side_has_are_no_change(image: Image) -> None:
    off = ScanReport(Outcome.SKIPPED)
    after = Side("after", image, asked(1.0, startup_seconds=None, memory_bytes=7), off)
    assert compare(Side("before", image, asked(1.0), ScanReport(Outcome.PASSED)), after).measured == ()


def test_what_cannot_be_compared_is_told(image: Image) -> None:
    bare = compare(Side("before", image), Side("after", image, asked(1.0)))
    assert bare.notices == (
        "no smoke report on before is known: predictions and interface were not compared",
    )
    old = asked(1.0, cases=(CaseResult("seven", True, 1.0),), interface=None)
    told = compare(Side("before", image, old), Side("after", image, asked(1.0)))
    assert any("no prediction was compared" in notice for notice in told.notices)
    assert any("interface" in notice for notice in told.notices)
    assert (told.compared, told.outcome) == (0, Outcome.PASSED)


@pytest.mark.parametrize(
    ("differ", "line"),
    [
        (
            Differences(
                packages=(Change("numpy", "2.4.5", "2.4.6"),),
                layers=("packages",),
                size_before=1 << 20,
                size_after=(1 << 20) + 3_250_586,
            ),
            "numpy 2.4.5 → 2.4.6, model unchanged, +3.1 MiB",
        ),
        (
            Differences(
                model=(Change("hash", "1" * 64, "2" * 64),),
                metrics=(Change("accuracy", 0.97, 0.98),),
                layers=("model",),
            ),
            "model changed, accuracy 0.97 → 0.98, same size",
        ),
        (
            Differences(packages=tuple(Change(f"p{n}", "1", None) for n in range(4)), size_before=2048),
            "4 packages changed, model unchanged, -2.0 KiB",
        ),
        (
            Differences(
                packages=(Change("six", "1.0", None), Change("flask", None, "3.1.0")),
                base=(Change("digest", "a", "b"),),
                configuration=(Change("user", "root", "65532"),),
                layers=("base", "serving"),
            ),
            "six 1.0 removed, flask 3.1.0 added, base updated, serving changed, model unchanged, "
            "configuration changed, same size",
        ),
        (
            Differences(base=(Change("name", "python:3.12", "python:3.13"),), layers=("packages",)),
            "other builds of the same packages, base python:3.12 → python:3.13, model unchanged, same size",
        ),
    ],
)
def test_one_line_tells_the_whole(differ: Differences, line: str) -> None:
    assert headline(differ) == line


def test_the_text_for_people_begins_with_the_line_and_has_each_part_below_it(image: Image) -> None:
    side = Side("ghcr.io/org/digits:main", image, asked(1.0))
    differ = Differences(labels=(Change("commit", "a" * 40, "b" * 40),), size_after=2048, new_bytes=1024)
    found = replace(
        compare(side, Side("after", image, asked(2.0))), differences=differ, breaks=("x is gone",)
    )
    assert as_text(found).splitlines() == [
        "nothing changed, it is the same image",
        "  compared with ghcr.io/org/digits:main",
        "labels",
        f"  commit {'a' * 12} → {'b' * 12}",
        "size",
        "  0 B → 2.0 KiB, 1.0 KiB in layers that are new",
        "predictions",
        "  1 of 1 cases moved",
        "  seven: 1 of 1 value moved, by 1 at most (50.0%)",
        "interface",
        "  x is gone",
    ]
