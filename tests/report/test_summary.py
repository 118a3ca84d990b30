from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ml_containerize.errors import EnvironmentMissing
from ml_containerize.report.record import Failure, Record, Result
from ml_containerize.report.summary import MAX_BYTES, render_summary
from ml_containerize.results import CaseResult, Decision, Finding, Outcome, ScanReport, SmokeReport


def test_the_verdict_comes_first(record: Callable[..., Record]) -> None:
    assert render_summary(record()).splitlines()[0] == "## ✅ digits: released"


def test_it_tells_tags_predictions_vulnerabilities_layers_and_time_in_this_order(
    record: Callable[..., Record],
) -> None:
    text = render_summary(record())
    parts = ["`main`", "Predictions: 1 of 1", "Vulnerabilities: none refused", "What moved", "```mermaid"]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)


def test_moved_and_reused_layers_are_told_apart(record: Callable[..., Record]) -> None:
    rows = [
        line for line in render_summary(record()).partition("What moved")[2].splitlines() if " KiB" in line
    ]
    assert "reused" in rows[1]
    assert "**moved**" in rows[2]


def test_a_refusal_gives_every_gates_reasons(record: Callable[..., Record]) -> None:
    decision = Decision(False, ("smoke: case a is off by 0.5", "scan: CVE-2024-1 in flask"))
    text = render_summary(record(result=Result.REFUSED, decision=decision, releases=()))
    assert text.startswith("## ⛔ digits: refused, nothing was tagged")
    assert "case a is off by 0.5" in text
    assert "CVE-2024-1 in flask" in text


def test_a_failing_case_shows_why_and_the_containers_log(record: Callable[..., Record]) -> None:
    smoke = SmokeReport(
        Outcome.FAILED,
        cases=(CaseResult("seven", False, 2.0, problem="predictions[0] is 0.5, expected 0.1"),),
        log_tail="Traceback ``` here",
    )
    text = render_summary(record(smoke=smoke))
    assert "❌ | seven | predictions&#91;0&#93; is 0.5, expected 0.1" in text
    assert "Traceback ''' here" in text


def test_a_run_that_ended_early_says_what_to_do() -> None:
    failure = Failure.of(EnvironmentMissing("No container engine answers.", "Start Docker."))
    text = render_summary(Record(Result.FAILED, (), failure=failure, project="models/digits"))
    assert text.startswith("## ❌ digits: failed")
    assert "No container engine answers." in text
    assert "Start Docker." in text


def test_a_skipped_scan_is_said(record: Callable[..., Record]) -> None:
    scan = ScanReport(Outcome.SKIPPED, notices=("scan: false was set",))
    text = render_summary(record(scan=scan))
    assert "Vulnerabilities: scan skipped" in text
    assert "scan: false was set" in text


def test_a_finding_links_only_to_a_plain_https_address(record: Callable[..., Record]) -> None:
    good = Finding("CVE-1", "p", "1", "2", "HIGH", url="https://avd.example.org/cve-1")
    bad = replace(good, id="CVE-2", url="https://x) [y](javascript:1")
    text = render_summary(record(scan=ScanReport(Outcome.FAILED, refused=(good, bad))))
    assert "[CVE-1](https://avd.example.org/cve-1)" in text
    assert "javascript" not in text


def test_it_stays_under_githubs_limit(record: Callable[..., Record]) -> None:
    smoke = SmokeReport(Outcome.FAILED, log_tail="é" * MAX_BYTES)
    text = render_summary(record(smoke=smoke))
    assert len(text.encode()) < 1_000_000
    assert "cut here" in text
