from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

from ml_containerize.report.changed import changed
from ml_containerize.report.gates import parse_smoke, plain
from ml_containerize.report.record import Record
from ml_containerize.report.summary import render_summary
from ml_containerize.results import (
    Answered,
    Change,
    Comparison,
    Differences,
    Interface,
    Move,
    Outcome,
    Tensor,
)

COMPARISON = Comparison(
    Outcome.FAILED,
    before="ghcr.io/org/digits:main@sha256:1",
    headline="numpy 2.4.5 → 2.4.6, model unchanged, +3.1 MiB",
    differences=Differences(packages=(Change("numpy", "2.4.5", "2.4.6"),), size_after=2048),
    measured=(Change("seconds to readiness", 2.0, 2.5),),
    compared=4,
    moved=(Move("seven", 0.25, 0.125, "1 of 10 values", "[0.1]", "[0.35]"),),
    breaks=("input 'image' is gone",),
    problems=("prediction moved: seven",),
    notices=("no longer asked: eight",),
)


def test_the_first_line_tells_the_whole_and_the_tables_what_stands_behind_it() -> None:
    lines = list(changed(COMPARISON))
    assert lines[1] == "### Changes: numpy 2.4.5 → 2.4.6, model unchanged, +3.1 MiB"
    assert "- prediction moved: seven" in lines
    assert "**1 of 4** predictions moved" in lines
    assert any(line.startswith("| seven | 1 of 10 values | 0.25 | 12.5% |") for line in lines)
    assert "| packages | numpy | `2.4.5` | `2.4.6` |" in lines
    assert "| measured | seconds to readiness | `2` | `2.5` |" in lines
    assert "> - no longer asked: eight" in lines


def test_what_was_not_compared_says_why() -> None:
    text = "\n".join(changed(Comparison(Outcome.SKIPPED, notices=("not compared: no image yet",))))
    assert "### Changes: not compared" in text
    assert "> - not compared: no image yet" in text


def test_text_from_outside_stays_text() -> None:
    evil = "<img src=x>|`@team"
    hostile = replace(
        COMPARISON,
        before=evil,
        headline=evil,
        differences=Differences(labels=(Change(evil, evil, None),)),
        moved=(Move(evil, None, None, evil, evil, evil),),
        breaks=(evil,),
        problems=(evil,),
        notices=(evil,),
    )
    text = "\n".join(changed(hostile))
    assert "<img" not in text
    assert "@team" not in text


def test_the_summary_shows_the_changes_before_the_predictions(record: Callable[..., Record]) -> None:
    text = render_summary(record(comparison=COMPARISON))
    assert 0 < text.index("### Changes") < text.index("### Predictions")


def test_the_record_tells_the_comparison_and_leaves_whole_answers_to_the_smoke_report(
    record: Callable[..., Record],
) -> None:
    made = record(comparison=COMPARISON)
    assert made.smoke
    answered = replace(made.smoke.cases[0], answered=Answered(200, "f", 1, (0.25,)))
    value = replace(made, smoke=replace(made.smoke, cases=(answered,))).as_json()
    assert json.loads(json.dumps(value)) == value
    assert value["comparison"]["moved"][0]["name"] == "seven"
    assert value["comparison"]["outcome"] == "failed"
    assert value["smoke"]["cases"][0]["answered"] is None


def test_answers_and_interface_survive_being_written_and_read(record: Callable[..., Record]) -> None:
    made = record()
    assert made.smoke
    case = replace(
        made.smoke.cases[0], request="r", rtol=0.5, answered=Answered(200, "f", 3, (0.25, "x", None))
    )
    interface = Interface((Tensor("x", "FP32", (-1, 3)),), (Tensor("y", "BYTES", (-1,)),))
    report = replace(made.smoke, cases=(case,), interface=interface)
    assert parse_smoke(json.loads(json.dumps(plain(report)))) == report
