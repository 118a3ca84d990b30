"""One decision from all gates, and the fingerprint of what they were asked, to recognise a proof by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from ml_containerize.errors import ContainerizeError, PushError
from ml_containerize.names import Digest, DigestReference
from ml_containerize.plan.decide import Plan
from ml_containerize.push.proof import Proof
from ml_containerize.report.gates import parse_scan, parse_smoke, plain
from ml_containerize.results import Comparison, Decision, Json, Outcome, ScanReport, SmokeReport

PROOF_LIFETIME = timedelta(
    hours=24
)  # trivy's database is rebuilt every six hours; a day-old scan is run again
_POLICY_VERSION = 3  # raise it where a proof comes to hold what an older one does not
_Report = TypeVar("_Report", SmokeReport, ScanReport)


class NoGateReport(PushError):
    """A gate has not seen the image that is to be pushed, or not as it is asked now."""

    def __init__(self, gate: str, why: str, image: DigestReference | None) -> None:
        command = f"ml-containerize {gate} {image} --push" if image else f"ml-containerize {gate}"
        super().__init__(
            why,
            f"Run `{command}` first, with the same settings; only what every gate passed is pushed.",
        )


def decide(*reports: SmokeReport | ScanReport | Comparison | None) -> Decision:
    """Publish only what no gate refused; every gate's reasons are told, not the first one's."""
    refused = [report for report in reports if report and report.outcome is Outcome.FAILED]
    reasons = tuple(f"{gate_name(r)}: {problem}" for r in refused for problem in r.problems or ("failed",))
    return Decision(accepted=not refused, reasons=reasons)


def gate_name(report: SmokeReport | ScanReport | Comparison) -> str:
    if isinstance(report, Comparison):
        return "compare"
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


def accept_report(
    value: Json | None, gate: str, parse: Callable[[Json], _Report], plan: Plan, image: Digest, now: datetime
) -> tuple[_Report, str]:
    """A gate's kept report, and when it was made, if it tells what asking the gate now would tell.

    Raises NoGateReport for a report on another image, of other settings or cases, or older than a day.
    """
    if value is None:
        why = f"there is no {gate} report on {image}"
    elif value.get("digest") != str(image):
        why = f"the {gate} report is about {str(value.get('digest'))[:80]}, not about {image}"
    elif value.get("policy") != policy(plan):
        why = f"the {gate} report on {image} was made under other settings or with other cases"
    elif not is_fresh(str(value.get("checked_at")), now):
        why = f"the {gate} report on {image} is not of the last day, but of {value.get('checked_at')}"
    else:
        report = _parsed(value, parse)
        if report and report.outcome in {Outcome.PASSED, Outcome.FAILED, Outcome.REUSED}:
            return report, value["checked_at"]
        why = f"the {gate} report on {image} does not say whether it passed"
    raise NoGateReport(gate, why, plan.settings.image)


def reports_of(proof: Proof) -> tuple[SmokeReport, ScanReport] | None:
    """What the gates found, None for a proof whose reports have another form: it says nothing."""
    smoke, scan = _parsed(proof.smoke, parse_smoke), _parsed(proof.scan, parse_scan)
    return (smoke, scan) if smoke and scan else None


def _parsed(value: Json, parse: Callable[[Json], _Report]) -> _Report | None:
    """The report, None where the value is of another form: whoever may write a tag may have written it."""
    try:
        return parse(value)
    except (ContainerizeError, AttributeError, KeyError, TypeError, ValueError):
        return None


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
