"""`ml-containerize report` and `notes` as a workflow runs them, in this process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from doubles.github_double import GitHubDouble

from ml_containerize import cli
from ml_containerize.errors import SmokeError
from ml_containerize.report.record import Failure, Record, Result

Report = Callable[..., int]
MATRIX = json.dumps({"include": [{"name": "digits", "path": "digits"}]})


@pytest.fixture
def github() -> Iterator[GitHubDouble]:
    with GitHubDouble() as double:
        yield double


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Report:
    """The command in a step of a workflow, its inputs in the environment."""

    def report(*argv: str, **environ: str) -> int:
        ours = {
            "ML_CONTAINERIZE_PATH": str(tmp_path / "records"),
            "ML_CONTAINERIZE_OUTPUT": str(tmp_path / "out"),
            "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
            "GITHUB_OUTPUT": str(tmp_path / "outputs"),
        }
        for name, value in (ours | environ).items():
            monkeypatch.setenv(name, value)
        return cli.main(["report", *argv])

    return report


def test_every_model_passed(report: Report, record: Callable[..., Record], tmp_path: Path) -> None:
    record(project="digits").write(tmp_path / "records" / "a")
    assert report(ML_CONTAINERIZE_MODELS=MATRIX) == 0
    assert (tmp_path / "summary.md").read_text().startswith("## ✅ 1 model passed")
    outputs = (tmp_path / "outputs").read_text()
    assert "images<<" in outputs
    assert '{"digits": "localhost:5000/digits@sha256:' in outputs
    assert (tmp_path / "out" / "notes.md").read_text().startswith("<!-- ml-containerize -->\n## digits main")


def test_the_exit_code_is_the_failures_and_an_annotation_names_the_model(
    report: Report, record: Callable[..., Record], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failure = Failure.of(SmokeError("one-wine\n::error::moved", "Look."))
    record(project="digits", result=Result.FAILED, failure=failure).write(tmp_path / "records")
    assert report(ML_CONTAINERIZE_MODELS=MATRIX, GITHUB_ACTIONS="true") == 5
    told = capsys.readouterr()
    assert told.err == "::error title=ml-containerize report::digits: smoke: one-wine\n"
    assert not any(line.lstrip().startswith("::") for line in told.out.splitlines())


def test_no_model_changed(report: Report, capsys: pytest.CaptureFixture[str]) -> None:
    assert report(ML_CONTAINERIZE_MODELS='{"include":[]}') == 0
    assert "nothing to check" in capsys.readouterr().out


def test_a_missing_model_fails_also_where_only_its_name_is_expected(report: Report) -> None:
    assert report("--expect", "wine") == 8


def test_a_wrong_matrix_is_a_usage_error(report: Report) -> None:
    assert report("--models", "{}") == 2


def test_json_is_for_other_programs(
    report: Report, record: Callable[..., Record], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = record(project="digits").write(tmp_path / "a")
    assert report(str(path), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["models"][0]["name"] == "digits"
    assert told["result"] == "passed"


def test_the_comment_is_kept_and_a_fork_is_no_failure(
    report: Report, record: Callable[..., Record], tmp_path: Path, github: GitHubDouble
) -> None:
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"pull_request": {"number": 7, "head": {"sha": "b" * 40}}}))
    record(project="digits").write(tmp_path / "records" / "a")
    runner = {
        "GITHUB_API_URL": github.url,
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_REPOSITORY": "org/models",
        "GITHUB_SHA": "a" * 40,
        "GITHUB_TOKEN": github.token,
    }
    assert report("--comment", **runner) == 0
    assert "## ✅ 1 model passed" in github.bodies[0]
    github.reads_only = True
    assert report("--expect", "wine", "--expect", "digits", ML_CONTAINERIZE_COMMENT="true") == 8
    assert "## ✅ 1 model passed" in github.bodies[0]


def test_notes_are_printed_of_the_records_that_are_named(
    record: Callable[..., Record], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = record().write(tmp_path / "records")
    assert cli.main(["notes", str(path)]) == 0
    assert "| commit | `5555" in capsys.readouterr().out
    assert cli.main(["notes", str(tmp_path / "none.json")]) == 8
