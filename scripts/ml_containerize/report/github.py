"""GitHub's side of a run: step outputs and the job summary, written to the files that the runner names.

Source: GitHub Docs, "Workflow commands for GitHub Actions" (multiline strings, job summaries).
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from pathlib import Path

from ml_containerize.names import TagReference
from ml_containerize.report.collect import Overview, overview_as_json
from ml_containerize.report.record import Record
from ml_containerize.report.summary import render_summary
from ml_containerize.results import Outcome, ScanReport

_LARGEST = 500_000  # characters; a job's outputs may have 1 MB, which GitHub counts as UTF-16


def outputs(record: Record, folder: Path) -> dict[str, str]:
    """Every output of `action.yml` by name; '' where the run did not get that far."""
    plan, image = record.plan, record.image
    tags = [tag for release in record.releases for tag in release.tags]
    return {
        "image": record.reference,
        "digest": str(image.digest) if image else "",
        "tags": "\n".join(str(tag) for tag in tags),
        "tag-names": "\n".join(_names(tags)),
        "labels": "\n".join(f"{k}={v}" for k, v in sorted(image.labels.items())) if image else "",
        "version": plan.version if plan else "",
        "json": json.dumps(record.as_json(), sort_keys=True, separators=(",", ":")),
        "model-hash": str(plan.model.hash) if plan else "",
        "environment-key": str(plan.environment.key) if plan else "",
        "git-sha": str(plan.source.sha or "") if plan else "",
        "smoke-result": _outcome(record.smoke.outcome if record.smoke else None),
        "smoke-report": str(folder / "smoke.json") if record.smoke else "",
        "scan-report": _scan_report(record, folder),
        "sarif": str(folder / "scan.sarif") if _asked(record.scan) else "",
        "vulnerabilities": json.dumps(dict(record.scan.counts), sort_keys=True) if record.scan else "",
        "result": record.result,
    }


def overview_outputs(overview: Overview) -> dict[str, str]:
    """The step's outputs of the command `report`."""
    told = overview_as_json(overview)
    whole = json.dumps(told, sort_keys=True, separators=(",", ":"))
    return {
        "result": told["result"],
        "images": json.dumps(told["images"], sort_keys=True),
        "json": whole if len(whole) <= _LARGEST else json.dumps({**told, "models": []}, sort_keys=True),
    }


def _scan_report(record: Record, folder: Path) -> str:
    """trivy's own report where this run asked it, else what is kept of an earlier one's."""
    if record.scan is None:
        return ""
    return str(folder / ("trivy.json" if _asked(record.scan) else "scan.json"))


def _asked(scan: ScanReport | None) -> bool:
    """True where this run itself scanned the image."""
    return scan is not None and scan.outcome in {Outcome.PASSED, Outcome.FAILED}


def _names(tags: list[TagReference]) -> list[str]:
    return list(dict.fromkeys(tag.name for tag in tags))


def _outcome(outcome: Outcome | None) -> str:
    return outcome or ""


def write_outputs(values: Mapping[str, str], environ: Mapping[str, str]) -> None:
    """Append to `GITHUB_OUTPUT`, each value behind a delimiter that nobody can have guessed."""
    path = environ.get("GITHUB_OUTPUT")
    if not path:
        return
    with Path(path).open("a", encoding="utf-8") as file:
        for name, value in values.items():
            delimiter = f"ghadelimiter_{secrets.token_hex(16)}"
            file.write(f"{name}<<{delimiter}\n{value}\n{delimiter}\n")


def write_summary(record: Record, environ: Mapping[str, str]) -> None:
    """Append the job summary to `GITHUB_STEP_SUMMARY`."""
    append_summary(render_summary(record), environ)


def append_summary(text: str, environ: Mapping[str, str]) -> None:
    """Append Markdown to `GITHUB_STEP_SUMMARY`."""
    path = environ.get("GITHUB_STEP_SUMMARY")
    if path:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text)
