from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ml_containerize.errors import BuildError
from ml_containerize.report.gates import (
    parse_scan,
    parse_smoke,
    plain,
    read_report,
    reused,
    write_report,
)
from ml_containerize.report.record import Failure, Record, Result
from ml_containerize.results import Outcome


def test_the_record_says_that_the_pushed_digest_is_the_tested_one(record: Callable[..., Record]) -> None:
    value = record().as_json()
    assert value["tested_digest"] == value["pushed_digest"] == value["digest"]
    assert value["image"] == f"localhost:5000/digits@{value['digest']}"
    assert value["result"] == "released"
    assert value["git_sha"] == "5" * 40


def test_a_layer_is_reused_unless_its_bytes_moved(record: Callable[..., Record]) -> None:
    layers = record().as_json()["layers"]
    assert [(layer["kind"], layer["reused"]) for layer in layers] == [("packages", True), ("model", False)]


def test_without_a_push_nobody_knows_what_would_have_moved(record: Callable[..., Record]) -> None:
    value = record(releases=(), result=Result.PASSED).as_json()
    assert {layer["reused"] for layer in value["layers"]} == {None}
    assert "push" in value["skipped"]


def test_a_skipped_gate_is_listed_as_skipped(record: Callable[..., Record]) -> None:
    from ml_containerize.results import SmokeReport

    assert "smoke" in record(smoke=SmokeReport(Outcome.SKIPPED)).as_json()["skipped"]


def test_a_failed_run_is_written_with_its_cause(record: Callable[..., Record], tmp_path: Path) -> None:
    failure = Failure.of(BuildError("no wheel for lxml", "Use the Dockerfile."))
    path = Record(Result.FAILED, (), failure=failure).write(tmp_path / "out")
    value = json.loads(path.read_text())
    assert value["result"] == "failed"
    assert value["failure"] == {
        "title": "build",
        "what": "no wheel for lxml",
        "fix": "Use the Dockerfile.",
        "exit_code": 4,
    }


def test_the_record_is_json_to_the_last_value(record: Callable[..., Record]) -> None:
    value = record().as_json()
    assert json.loads(json.dumps(value)) == value


def test_gate_reports_survive_being_written_and_read(record: Callable[..., Record], tmp_path: Path) -> None:
    made = record()
    assert made.smoke
    assert made.scan
    for gate, report, parse in (("smoke", made.smoke, parse_smoke), ("scan", made.scan, parse_scan)):
        write_report(tmp_path, gate, "policy", "2026-01-01T00:00:00Z", report)
        kept = read_report(tmp_path, gate)
        assert kept
        assert parse(kept) == report
        assert plain(report)["outcome"] == "passed"
        assert (kept["policy"], kept["checked_at"]) == ("policy", "2026-01-01T00:00:00Z")


@pytest.mark.parametrize("text", ["{half", "[]", "1", "\0"])
def test_a_missing_or_broken_report_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "scan.json").write_text(text)
    assert [read_report(tmp_path, gate) for gate in ("smoke", "scan")] == [None, None]


def test_what_passed_earlier_is_reused_and_what_was_skipped_stays_skipped(
    record: Callable[..., Record],
) -> None:
    from ml_containerize.results import ScanReport

    made = record()
    assert made.smoke
    assert reused(made.smoke).outcome is Outcome.REUSED
    assert reused(ScanReport(Outcome.SKIPPED)).outcome is Outcome.SKIPPED
