"""One decision from all gates, and the fingerprint of what they were asked, to recognise a proof by."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ml_containerize.plan.decide import Plan
from ml_containerize.push.proof import Proof
from ml_containerize.report.gates import plain
from ml_containerize.results import Decision, Outcome, ScanReport, SmokeReport

PROOF_LIFETIME = timedelta(
    hours=24
)  # trivy's database is rebuilt every six hours; a day-old scan is run again
_POLICY_VERSION = 2


def decide(*reports: SmokeReport | ScanReport) -> Decision:
    """Publish only what no gate refused; every gate's reasons are told, not the first one's."""
    refused = [report for report in reports if report.outcome is Outcome.FAILED]
    reasons = tuple(f"{gate_name(r)}: {problem}" for r in refused for problem in r.problems or ("failed",))
    return Decision(accepted=not refused, reasons=reasons)


def gate_name(report: SmokeReport | ScanReport) -> str:
    return "smoke" if isinstance(report, SmokeReport) else "scan"


def policy(plan: Plan) -> str:
    """SHA-256 over everything that the gates' verdict depends on beside the image itself."""
    settings = plan.settings
    asked = {
        "version": _POLICY_VERSION,
        "cases": [_file_hash(case) for case in plan.cases],
        "smoke": [settings.smoke, settings.gpus, settings.startup_timeout, repr(settings.budgets)],
        "scan": [
            settings.scan,
            sorted(settings.severity),
            settings.ignore_unfixed,
            settings.exit_code,
            list(settings.scanners),
            [_file_hash(file) for file in settings.trivyignores],
            settings.skip_db_update,
            list(settings.db_repository),
        ],
    }
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _file_hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def is_fresh(checked_at: str, now: datetime) -> bool:
    """True while a proof of `checked_at` (RFC 3339) is younger than `PROOF_LIFETIME`."""
    try:
        age = now - datetime.fromisoformat(checked_at).astimezone(UTC)
    except ValueError:
        return False
    return timedelta(minutes=-5) <= age <= PROOF_LIFETIME


def timestamp(now: datetime) -> str:
    """RFC 3339 in UTC, to the second; such texts sort as their times do."""
    return now.astimezone(UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")


def make_proof(plan: Plan, smoke: SmokeReport, scan: ScanReport, checked_at: str) -> Proof:
    """What is published beside the image, so that a later run need not ask the same again."""
    return Proof(policy=policy(plan), checked_at=checked_at, smoke=plain(smoke), scan=plain(scan))
