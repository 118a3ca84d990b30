from __future__ import annotations

import json
import re
from dataclasses import replace

from ml_containerize.report.collect import ModelOverview, Overview
from ml_containerize.report.notes import MARKER, MAX_BYTES, render_notes
from ml_containerize.report.record import Failure, Result
from ml_containerize.report.told import Told, ToldModel
from ml_containerize.results import (
    CaseResult,
    Change,
    Comparison,
    Differences,
    Finding,
    Outcome,
    ScanReport,
    SmokeReport,
)

DIGEST = f"sha256:{'a' * 64}"
IDENTITY = f"sha-{'5' * 12}-model-{'4' * 12}"
RELEASED = Told(
    record_version=1,
    result=Result.RELEASED,
    image=f"ghcr.io/org/digits@{DIGEST}",
    digest=DIGEST,
    tags=tuple(f"ghcr.io/org/digits:{tag}" for tag in (IDENTITY, "1.2.3", "1.2", "latest")),
    identity=IDENTITY,
    model=ToldModel("digits", "keras", "4" * 64, 300 << 10),
    git_sha="5" * 40,
    base={"name": "python:3.12-slim", "digest": DIGEST},
    labels={"io.ml-containerize.metrics": json.dumps({"accuracy": 0.97, "set": "test", "deep": {"a": 1}})},
    smoke=SmokeReport(
        Outcome.REUSED, startup_seconds=3.2, latency_p50_ms=2.0, cases=(CaseResult("seven", True, 2.5),)
    ),
    scan=ScanReport(
        Outcome.REUSED,
        scanner="trivy 0.74.0",
        counts={"HIGH": 1, "LOW": 2},
        ignored=(Finding("CVE-2024-1", "flask", "2.0", "", "HIGH", ignored_by="ignore-unfixed"),),
    ),
    comparison=Comparison(
        Outcome.PASSED,
        before="ghcr.io/org/digits:1.2.2",
        headline="numpy 2.4.5 → 2.4.6, model unchanged, +3.1 MB",
        differences=Differences(packages=(Change("numpy", "2.4.5", "2.4.6"),)),
    ),
)


def notes(*runs: Told) -> str:
    return render_notes(Overview(tuple(ModelOverview(run.name, (run,)) for run in runs)))


def test_they_begin_with_the_mark_by_which_they_are_found_again() -> None:
    assert notes(RELEASED).splitlines()[:2] == [MARKER, "## digits 1.2.3"]


def test_they_tell_digest_tags_metrics_smoke_figures_findings_and_what_changed() -> None:
    text = notes(RELEASED)
    for told in (
        f"`ghcr.io/org/digits@{DIGEST}`",
        f"| tags | `{IDENTITY}` `1.2.3` `1.2` `latest` |",
        "| metrics | accuracy **0.97**, set **test** |",
        "1 of 1 as recorded, proved earlier for these very bytes · ready after **3.2 s** · p50 **2.0 ms**",
        "| vulnerabilities | none refused, 3 found · 1 high, 2 low · trivy 0.74.0 |",
        "| CVE-2024-1 | flask | 2.0 | high | `ignore-unfixed` |",
        "### Changes: numpy 2.4.5 → 2.4.6, model unchanged, +3.1 MB",
    ):
        assert told in text


def test_what_was_not_released_says_so_and_why() -> None:
    failed = replace(
        RELEASED, result=Result.FAILED, tags=(), failure=Failure("push", "the registry went away", "", 7)
    )
    text = notes(failed, replace(RELEASED, result=Result.PASSED, tags=()))
    assert "**Not released:**\n\n- push: the registry went away" in text
    assert "**Not released:** it was not to be pushed." in text


def test_damaged_metrics_are_left_out() -> None:
    for label in ("{", "[1]", "[" * 9999, '"x"'):
        assert "metrics" not in notes(replace(RELEASED, labels={"io.ml-containerize.metrics": label}))


def test_text_from_outside_stays_text() -> None:
    hostile = "<img src=x> @org/team #1 [a](b) | `c`\n::error::"
    told = replace(
        RELEASED,
        image=hostile,
        tags=(f"a:{hostile}",),
        model=ToldModel(hostile, hostile, hostile, 1),
        labels={"io.ml-containerize.metrics": json.dumps({hostile: hostile})},
        base={"name": hostile},
        platform=hostile,
    )
    text = notes(told)
    assert not re.search(r"<(?!/?(code|details|summary)>|!-- ml-containerize -->)", text)
    assert not re.search(r"[@#][\w/]", text.replace("&#", "").replace("##", ""))
    assert not any(line.lstrip().startswith("::") for line in text.splitlines())


def test_many_models_stay_below_githubs_limit() -> None:
    text = notes(*[RELEASED] * 256)
    assert len(text.encode()) < MAX_BYTES
    assert "more models are told in their own records" in text
