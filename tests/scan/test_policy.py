from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from ml_containerize.results import Finding
from ml_containerize.scan.policy import Policy, judge
from ml_containerize.scan.rules import Rule

NOW = datetime(2026, 11, 21, tzinfo=UTC)
FIXED = Finding("CVE-1", "flask", "2.2.0", "2.2.5", "HIGH")
UNFIXED = Finding("CVE-2", "bash", "5.2", "", "CRITICAL")
SECRET = Finding("github-pat", "x", "", "", "CRITICAL", kind="secret")
LAMBDA = Finding("MLC-KERAS-LAMBDA", "model.keras", "", "", "CRITICAL", kind="model")
POLICY = Policy(frozenset({"CRITICAL", "HIGH"}), ignore_unfixed=True, rules=(), now=NOW)


def test_a_grave_vulnerability_with_a_fix_is_refused() -> None:
    assert judge([FIXED], POLICY).refused == (FIXED,)


@pytest.mark.parametrize("severity", ["MEDIUM", "LOW", "UNKNOWN"])
def test_a_lesser_one_is_only_counted(severity: str) -> None:
    verdict = judge([replace(FIXED, severity=severity)], POLICY)
    assert (verdict.refused, verdict.ignored) == ((), ())
    assert verdict.counts[severity] == 1


def test_a_vulnerability_without_a_fix_passes_by_a_rule_that_is_named() -> None:
    assert judge([UNFIXED], POLICY).ignored == (replace(UNFIXED, ignored_by="ignore-unfixed"),)


def test_a_vulnerability_without_a_fix_is_refused_if_so_wished() -> None:
    assert judge([UNFIXED], replace(POLICY, ignore_unfixed=False)).refused == (UNFIXED,)


@pytest.mark.parametrize("finding", [SECRET, LAMBDA])
def test_a_secret_and_unsafe_code_have_no_fix_to_wait_for_and_are_refused(finding: Finding) -> None:
    assert judge([finding], POLICY).refused == (finding,)


def test_an_ignore_file_lets_a_finding_pass_and_is_named() -> None:
    policy = replace(POLICY, rules=(Rule("CVE-1", ".trivyignore:3"), Rule("CVE-2", ".trivyignore:4")))
    verdict = judge([FIXED, UNFIXED], policy)
    assert verdict.refused == ()
    assert [finding.ignored_by for finding in verdict.ignored] == [".trivyignore:4", ".trivyignore:3"]


def test_an_expired_rule_counts_for_nothing_and_that_is_told() -> None:
    over = Rule("CVE-1", ".trivyignore:3", expires=datetime(2026, 1, 1, tzinfo=UTC))
    verdict = judge([FIXED], replace(POLICY, rules=(over,)))
    assert verdict.refused == (FIXED,)
    assert verdict.notices == (".trivyignore:3 expired on 2026-01-01, so CVE-1 counts again",)


def test_an_expired_rule_that_nothing_needs_is_not_told() -> None:
    over = Rule("CVE-9", ".trivyignore:3", expires=datetime(2026, 1, 1, tzinfo=UTC))
    assert judge([FIXED], replace(POLICY, rules=(over,))).notices == ()


def test_every_finding_is_counted_also_those_that_pass() -> None:
    counts = judge([FIXED, UNFIXED, SECRET, replace(FIXED, severity="LOW")], POLICY).counts
    assert counts == {"CRITICAL": 2, "HIGH": 1, "MEDIUM": 0, "LOW": 1, "UNKNOWN": 0}


def test_the_worst_comes_first_and_the_order_is_always_the_same() -> None:
    low = replace(FIXED, severity="HIGH", package="aaa")
    one, other = judge([FIXED, SECRET, low], POLICY), judge([low, FIXED, SECRET], POLICY)
    assert one.refused == other.refused == (SECRET, low, FIXED)


def test_no_severity_refuses_nothing() -> None:
    assert judge([FIXED, SECRET], replace(POLICY, severities=frozenset())).refused == ()
