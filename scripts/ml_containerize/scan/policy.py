"""The decision: which findings refuse the image, which pass, and by which rule. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from ml_containerize.results import Finding
from ml_containerize.scan.findings import SEVERITIES
from ml_containerize.scan.rules import Rule

UNFIXED = "ignore-unfixed"


@dataclass(frozen=True, slots=True)
class Policy:
    """What refuses: severities, but for rules as of `now`, and if so wished for what has no fix."""

    severities: frozenset[str]
    ignore_unfixed: bool
    rules: tuple[Rule, ...]
    now: datetime


@dataclass(frozen=True, slots=True)
class Verdict:
    """The findings of the refusing severities, and how many there are of each severity in all."""

    refused: tuple[Finding, ...]
    ignored: tuple[Finding, ...]
    counts: Mapping[str, int]
    notices: tuple[str, ...]


def judge(findings: Iterable[Finding], policy: Policy) -> Verdict:
    """Sort the findings, worst first; what no rule lets pass is refused."""
    ordered = sorted(findings, key=_order)
    grave = [finding for finding in ordered if finding.severity in policy.severities]
    judged = [replace(finding, ignored_by=_ignored_by(finding, policy)) for finding in grave]
    counted = Counter(finding.severity for finding in ordered)
    return Verdict(
        refused=tuple(finding for finding in judged if not finding.ignored_by),
        ignored=tuple(finding for finding in judged if finding.ignored_by),
        counts={severity: counted[severity] for severity in SEVERITIES},
        notices=tuple(_expired(judged, policy)),
    )


def _ignored_by(finding: Finding, policy: Policy) -> str:
    for rule in policy.rules:
        if rule.matches(finding) and not rule.has_expired(policy.now):
            return rule.where
    unfixed = finding.kind == "vulnerability" and not finding.fixed
    return UNFIXED if unfixed and policy.ignore_unfixed else ""


def _expired(judged: Iterable[Finding], policy: Policy) -> Iterable[str]:
    """Say why an exception that used to hold no longer does."""
    refused = [finding for finding in judged if not finding.ignored_by]
    for rule in policy.rules:
        if rule.expires and rule.has_expired(policy.now) and any(map(rule.matches, refused)):
            yield f"{rule.where} expired on {rule.expires:%Y-%m-%d}, so {rule.id} counts again"


def _order(finding: Finding) -> tuple[int, str, str, str]:
    return SEVERITIES.index(finding.severity), finding.package.lower(), finding.id, finding.path
