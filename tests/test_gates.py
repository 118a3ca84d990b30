from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from ml_containerize.errors import EnvironmentMissing
from ml_containerize.gates import PROOF_LIFETIME, decide, is_fresh, reports_of
from ml_containerize.pipeline import ChangeRefused, ScanRefused, SmokeRefused, check_gates, refuse_unless
from ml_containerize.push.proof import Proof
from ml_containerize.report.gates import plain
from ml_containerize.results import Comparison, Outcome, ScanReport, SmokeReport

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(("smoke", "scan"), list(itertools.product(Outcome, Outcome)))
def test_an_image_is_accepted_only_when_no_gate_refused(smoke: Outcome, scan: Outcome) -> None:
    decision = decide(SmokeReport(smoke), ScanReport(scan))
    assert decision.accepted == (Outcome.FAILED not in (smoke, scan))


def test_every_gates_reasons_are_told() -> None:
    smoke = SmokeReport(Outcome.FAILED, problems=("off by 1",))
    scan = ScanReport(Outcome.FAILED, problems=("CVE-1", "CVE-2"))
    assert decide(smoke, scan).reasons == ("smoke: off by 1", "scan: CVE-1", "scan: CVE-2")


def test_a_failed_smoke_is_exit_5_and_a_refused_scan_exit_6() -> None:
    failed, scan = SmokeReport(Outcome.FAILED), ScanReport(Outcome.FAILED)
    with pytest.raises(SmokeRefused) as both:
        refuse_unless(decide(failed, scan), failed, scan)
    passed = SmokeReport(Outcome.PASSED)
    with pytest.raises(ScanRefused) as one:
        refuse_unless(decide(passed, scan), passed, scan)
    assert (both.value.exit_code, one.value.exit_code) == (5, 6)


def test_a_change_that_nobody_announced_is_exit_5_with_the_words_that_announce_it() -> None:
    passed, moved = SmokeReport(Outcome.PASSED), Comparison(Outcome.FAILED, problems=("seven moved",))
    decision = decide(passed, moved)
    assert decision.reasons == ("compare: seven moved",)
    with pytest.raises(ChangeRefused, match="predictions: may-change") as refused:
        refuse_unless(decision, passed, moved)
    assert refused.value.exit_code == 5


@pytest.mark.parametrize("comparison", [None, Comparison(Outcome.SKIPPED), Comparison(Outcome.PASSED)])
def test_without_a_comparison_the_gates_alone_decide(comparison: Comparison | None) -> None:
    assert decide(SmokeReport(Outcome.PASSED), ScanReport(Outcome.PASSED), comparison).accepted


def test_the_scan_reports_although_the_smoke_test_could_not_run() -> None:
    seen: list[str] = []

    def smoke() -> SmokeReport:
        raise EnvironmentMissing("no engine")

    def scan() -> ScanReport:
        seen.append("scan")
        return ScanReport(Outcome.PASSED)

    with pytest.raises(EnvironmentMissing, match="no engine"):
        check_gates(smoke, scan)
    assert seen == ["scan"]


@pytest.mark.parametrize(
    ("checked_at", "fresh"),
    [
        ("2026-01-01T23:59:00Z", True),
        ((NOW - PROOF_LIFETIME - timedelta(seconds=1)).isoformat(), False),
        ("2026-01-03T00:00:00Z", False),
        ("yesterday", False),
        ("", False),
    ],
)
def test_a_proof_counts_for_a_day(checked_at: str, fresh: bool) -> None:
    assert is_fresh(checked_at, NOW) is fresh


def test_a_proof_whose_reports_have_another_form_is_none() -> None:
    smoke, scan = plain(SmokeReport(Outcome.PASSED)), plain(ScanReport(Outcome.PASSED))
    whole = Proof("policy", "2026-01-01T00:00:00Z", smoke, scan)
    assert reports_of(whole) == (SmokeReport(Outcome.PASSED), ScanReport(Outcome.PASSED))
    for damaged in ({}, {"outcome": "splendid"}, {**smoke, "cases": "many"}):
        assert not reports_of(Proof("policy", "2026-01-01T00:00:00Z", damaged, scan))
    assert not reports_of(Proof("policy", "2026-01-01T00:00:00Z", smoke, {"outcome": 1}))
