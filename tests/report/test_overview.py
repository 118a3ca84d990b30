from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_containerize.report.collect import ModelOverview, Overview
from ml_containerize.report.overview import MAX_BYTES, render_overview
from ml_containerize.report.record import Failure, Result
from ml_containerize.report.told import Told, ToldModel
from ml_containerize.results import (
    CaseResult,
    Comparison,
    Decision,
    Finding,
    Move,
    Outcome,
    ScanReport,
    SmokeReport,
    StageTime,
)

PASSED = Told(
    record_version=1,
    result=Result.PASSED,
    digest=f"sha256:{'a' * 64}",
    tags=("ghcr.io/org/digits:main",),
    model=ToldModel(name="digits"),
    stages=(StageTime("plan", 0.5), StageTime("build", 12)),
    size=300 << 20,
    smoke=SmokeReport(Outcome.PASSED, cases=(CaseResult("seven", True, 2.5),)),
    scan=ScanReport(Outcome.PASSED, counts={"HIGH": 2, "LOW": 1}),
    comparison=Comparison(
        Outcome.PASSED,
        headline="numpy 2.4.5 → 2.4.6, model unchanged",
        moved=(Move("seven", 0.1, 0.2, "probability"),),
    ),
)
REFUSED = replace(
    PASSED,
    result=Result.REFUSED,
    comparison=None,
    tags=(),
    model=ToldModel(name="wine"),
    failure=Failure("smoke", "the image was refused", "Look below.", 5),
    decision=Decision(False, ("smoke: three-wines moved", "scan: CVE-2024-1 in flask")),
    smoke=SmokeReport(
        Outcome.FAILED,
        cases=(
            CaseResult("three-wines", False, 2.5, problem="0.5 instead of 0.1"),
            CaseResult("one", True, 1),
        ),
    ),
    scan=ScanReport(
        Outcome.FAILED,
        counts={"HIGH": 2},
        refused=(Finding("CVE-2024-1", "flask", "2.0", "2.1", "HIGH"),),
    ),
)


def overview(*runs: Told, reason: str = "") -> Overview:
    return Overview(tuple(ModelOverview(run.name, (run,)) for run in runs), reason)


def test_one_row_tells_a_models_result_tags_digest_predictions_vulnerabilities_size_and_time() -> None:
    text = render_overview(overview(PASSED))
    assert text.splitlines()[0] == "## ✅ 1 model passed"
    assert (
        "| digits | ✅ passed | `main` `sha256:aaaaaaaaaaa…` | numpy 2.4.5 → 2.4.6, model unchanged "
        "| 1 of 1, 1 moved | 3 found | 300.0 MiB | 12.5 s |" in text
    )


def test_failed_models_come_first_and_tell_why() -> None:
    text = render_overview(overview(PASSED, REFUSED))
    assert text.splitlines()[0] == "## ❌ 1 of 2 models failed: wine"
    rows = [line for line in text.splitlines() if line.startswith(("| wine", "| digits"))]
    assert rows[0].startswith("| wine | ⛔ refused | `sha256:aaaaaaaaaaa…` | — | 1 of 2 | 1 refused of 2 ")
    details = text.partition("### ❌ wine")[2]
    for told in (
        "three-wines moved",
        "CVE-2024-1 in flask",
        "0.5 instead of 0.1",
        "Look below.",
        "| flask |",
    ):
        assert told in details


def test_nothing_to_check_is_said() -> None:
    assert render_overview(Overview(())) == "## ✅ nothing to check: no model is concerned\n\n"


def test_the_reason_for_the_choice_of_models_is_told() -> None:
    text = render_overview(overview(PASSED, reason="all models: <the base> is unknown"))
    assert "all models: &#60;the base&#62; is unknown" in text


def test_a_model_without_a_record_has_a_row() -> None:
    text = render_overview(Overview((ModelOverview("wine", problem="its job was cancelled"),)))
    assert "| wine | ❌ no record | — | — | — | — | — | — |" in text
    assert "- its job was cancelled" in text


hostile = st.text(st.sampled_from("a|`\\<>[]@#*_~:\n\r\t!()/é😀\u202e\ud800$&%"), max_size=30)


@settings(max_examples=60)
@given(hostile, hostile, hostile)
def test_no_text_from_outside_becomes_markup_or_a_command(name: str, tag: str, problem: str) -> None:
    told = replace(
        REFUSED,
        tags=(f"localhost/x:{tag}",),
        model=ToldModel(name=name),
        decision=Decision(False, (problem,)),
        smoke=SmokeReport(Outcome.FAILED, cases=(CaseResult(name, False, 1, problem=problem),)),
        scan=ScanReport(Outcome.FAILED, refused=(Finding(name, tag, problem, name, "HIGH", url=problem),)),
    )
    text = render_overview(overview(told, reason=problem))
    text.encode()
    outside = re.sub(r"`[^`\n]*`", "", text)
    assert not re.search(r"<(?!/?(code|br)>)", outside)
    assert not any(line.lstrip().startswith("::") for line in text.splitlines())
    assert "##[" not in text
    assert not re.search(r"[@#][\w/]", outside.replace("&#", "").replace("###", ""))


@pytest.mark.parametrize("limit", [2_000, 60_000, MAX_BYTES])
def test_however_many_models_fail_it_stays_below_the_limit(limit: int) -> None:
    long = "é<" * 2_000
    told = replace(REFUSED, model=ToldModel(name=long), decision=Decision(False, (long,) * 30))
    text = render_overview(overview(*[told] * 256), limit)
    assert len(text.encode()) <= limit
    assert "256 of 256 models failed" in text
    assert ("more models" in text) == (limit < MAX_BYTES)
    assert "told in their own summaries" in text
