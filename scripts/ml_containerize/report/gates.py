"""The gates' reports as JSON and back: in `result.json`, `smoke.json`, `scan.json` and the gate proof."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, TypeVar

from ml_containerize.names import Digest, DigestReference, TagReference
from ml_containerize.report.shapes import read_object
from ml_containerize.results import Json, Outcome, ScanReport, SmokeReport

_Report = TypeVar("_Report", SmokeReport, ScanReport)


def plain(value: object) -> Any:
    """Frozen values as JSON: dataclasses become objects, names their text."""
    if isinstance(value, Digest | DigestReference | TagReference):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def parse_smoke(value: Json) -> SmokeReport:
    """A smoke report as `result.json` and the gate proof hold it; raises Misshapen."""
    return read_object(SmokeReport, value, "smoke")


def parse_scan(value: Json) -> ScanReport:
    """A scan report as `result.json` and the gate proof hold it; raises Misshapen."""
    return read_object(ScanReport, value, "scan")


def reused(report: _Report) -> _Report:
    """A report that is not this run's own: what passed then is reused now."""
    return dataclasses.replace(report, outcome=Outcome.REUSED) if report.outcome is Outcome.PASSED else report


def write_json(path: Path, value: Json) -> Path:
    """Write a JSON file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.new")
    draft.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return draft.replace(path)


def write_report(
    folder: Path, gate: str, policy: str, checked_at: str, report: SmokeReport | ScanReport
) -> Path:
    """Keep a gate's report for a later `push`: under which policy it was asked, and when (RFC 3339)."""
    return write_json(folder / f"{gate}.json", {"policy": policy, "checked_at": checked_at, **plain(report)})


def read_report(folder: Path, gate: str) -> Json | None:
    """What `write_report` kept, None where there is nothing that can be read."""
    try:
        value = json.loads((folder / f"{gate}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None
