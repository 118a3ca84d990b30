from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ml_containerize.errors import BuildError
from ml_containerize.report.collect import (
    BadMatrix,
    Expected,
    NothingToReport,
    collect,
    find_records,
    overview_as_json,
    parse_matrix,
)
from ml_containerize.report.record import Failure, Record, Result
from ml_containerize.report.told import BadRecord, read_told


@pytest.fixture
def write(record: Callable[..., Record], tmp_path: Path) -> Callable[..., Path]:
    """Write a record into a folder of its own, with a few of its keys changed."""

    def write(folder: str, changes: dict[str, Any] | None = None, **run: Any) -> Path:
        path = record(**run).write(tmp_path / "records" / folder)
        path.write_text(json.dumps(json.loads(path.read_text()) | (changes or {})))
        return path

    return write


def named(name: str) -> dict[str, Any]:
    return {
        "model": {"name": name, "format": "keras", "hash": "4" * 64, "size": 5},
        "project": f"models/{name}",
    }


FAILURE = Failure.of(BuildError("no wheel for lxml", "Use the Dockerfile."))


def test_a_record_is_read_as_it_was_written(
    record: Callable[..., Record], write: Callable[..., Path]
) -> None:
    made, told = record(), read_told(write("a"))
    assert told.smoke == made.smoke
    assert told.scan == made.scan
    assert told.decision == made.decision
    assert told.stages == made.stages
    assert (told.result, told.name, told.passed) == (Result.RELEASED, "digits", True)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ('{"record_version": 1, "resu', "not written to its end"),
        ("", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[]", "record: expected dict"),
        ("{}", "record.record_version: expected a value"),
        ('{"record_version": 2, "result": "passed"}', "record.record_version: expected 1"),
        ('{"record_version": 1, "result": "splendid"}', "record.result: expected a result"),
        ('{"record_version": 1, "result": "passed", "size": 1e999}', "record.size: expected int"),
        ('{"record_version": 1, "result": "passed", "size": 1' + "0" * 30 + "}", "below 2^63"),
        ('{"record_version": 1, "result": "passed", "tags": "main"}', "record.tags: expected list"),
        (
            '{"record_version": 1, "result": "passed", "stages": [{"stage": "plan", "seconds": true}]}',
            "record.stages[0].seconds: expected float",
        ),
        (
            '{"record_version": 1, "result": "passed", "smoke": {"outcome": "passed", "cases": [{}]}}',
            "record.smoke.cases[0].name: expected a value",
        ),
    ],
)
def test_what_is_no_record_of_this_version_is_refused_with_its_place(
    tmp_path: Path, content: str, why: str
) -> None:
    path = tmp_path / "result.json"
    path.write_text(content)
    with pytest.raises(BadRecord) as refused:
        read_told(path)
    assert why in refused.value.what


def test_a_missing_record_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRecord, match="No such file"):
        read_told(tmp_path / "result.json")


def test_records_are_found_below_folders_and_links_are_not_followed(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    one, two = write("b/digits"), write("a")
    (tmp_path / "records" / "link").mkdir()
    (tmp_path / "records" / "link" / "result.json").symlink_to(one)
    assert find_records([tmp_path / "records"]) == (two, one)
    assert find_records([one, tmp_path / "records"]) == (one, two)


def test_the_models_that_passed_are_all_there_is(write: Callable[..., Path], tmp_path: Path) -> None:
    write("1", named("digits"))
    write("2", named("wine"))
    overview = collect([tmp_path / "records"], None)
    assert [model.name for model in overview.models] == ["digits", "wine"]
    assert overview.exit_code == 0
    assert overview_as_json(overview)["result"] == "passed"


def test_the_exit_code_is_the_first_failures_in_the_order_that_was_expected(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    write("1", named("digits"), result=Result.FAILED, failure=FAILURE)
    write("2", named("wine") | {"result": "refused"})
    expected = [Expected("wine", "models/wine"), Expected("digits", "models/digits")]
    assert collect([tmp_path / "records"], expected).exit_code == 1
    assert collect([tmp_path / "records"], expected[::-1]).exit_code == 4


def test_an_expected_model_without_a_record_fails(write: Callable[..., Path], tmp_path: Path) -> None:
    write("1", named("digits"))
    overview = collect([tmp_path / "records"], [Expected("digits"), Expected("wine")])
    assert overview.exit_code == 8
    assert overview.problems == ("wine: it left no record: its job was cancelled, or ended before it began",)


def test_a_model_is_known_by_its_folder_where_its_run_ended_before_its_name(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    write("1", {"model": {}, "project": "models/wine"}, result=Result.FAILED, failure=FAILURE, plan=None)
    overview = collect([tmp_path / "records"], [Expected("red-wine", "models/wine")])
    assert [(model.name, model.exit_code) for model in overview.models] == [("red-wine", 4)]


def test_the_runs_of_one_model_are_one_row_and_any_failure_is_its_result(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    write("1", named("digits") | {"result": "passed"})
    write("2", named("digits"), result=Result.FAILED, failure=FAILURE)
    (model,) = collect([tmp_path / "records"], None).models
    assert (model.result, model.exit_code, len(model.runs)) == (Result.FAILED, 4, 2)


def test_stages_that_ran_in_jobs_of_their_own_add_up_to_how_far_the_model_came(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    for number, result in enumerate(("built", "released", "passed")):
        write(str(number), named("digits") | {"result": result})
    (model,) = collect([tmp_path / "records"], None).models
    assert model.result is Result.RELEASED


def test_an_unreadable_record_fails_and_hides_no_other(write: Callable[..., Path], tmp_path: Path) -> None:
    write("digits", named("digits"))
    write("wine", named("wine")).write_text("{half")
    overview = collect([tmp_path / "records"], None)
    assert [(model.name, model.exit_code) for model in overview.models] == [("digits", 0), ("wine", 8)]


def test_no_model_is_right_only_where_none_was_expected(tmp_path: Path) -> None:
    assert collect([tmp_path / "none"], parse_matrix('{"include":[]}')[0]).exit_code == 0
    with pytest.raises(NothingToReport):
        collect([tmp_path / "none"], None)


def test_a_matrix_names_models_their_folders_and_its_reason() -> None:
    expected, reason = parse_matrix(
        '{"include": [{"name": "a", "path": "m/a"}, {"name": "b"}], "reason": "all"}'
    )
    assert expected == (Expected("a", "m/a"), Expected("b"))
    assert reason == "all"


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"include": {}}', '{"include": [{"path": "a"}]}', "[" * 9999]
)
def test_what_is_no_matrix_is_a_usage_error(text: str) -> None:
    with pytest.raises(BadMatrix) as refused:
        parse_matrix(text)
    assert refused.value.exit_code == 2


def test_the_images_that_were_released_are_told_by_name(write: Callable[..., Path], tmp_path: Path) -> None:
    write("1", named("digits"))
    write("2", named("wine") | {"result": "passed"})
    told = overview_as_json(collect([tmp_path / "records"], None))
    assert list(told["images"]) == ["digits"]
    assert told["images"]["digits"].startswith("localhost:5000/digits@sha256:")
