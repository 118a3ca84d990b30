from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from ml_containerize.console import escape_workflow_command
from ml_containerize.report.collect import ModelOverview, Overview
from ml_containerize.report.github import outputs, overview_outputs, write_outputs, write_summary
from ml_containerize.report.record import Failure, Record, Result
from ml_containerize.report.told import Told


def read_outputs(path: Path) -> dict[str, str]:
    """Read a GITHUB_OUTPUT file as the runner does."""
    found, lines = {}, iter(path.read_text().split("\n"))
    for line in lines:
        if "<<" in line:
            name, _, delimiter = line.partition("<<")
            value = []
            while (part := next(lines)) != delimiter:
                value.append(part)
            found[name] = "\n".join(value)
    return found


def test_outputs_name_the_image_its_tags_and_its_hashes(
    record: Callable[..., Record], tmp_path: Path
) -> None:
    made = record()
    values = outputs(made, tmp_path)
    assert values["image"] == f"localhost:5000/digits@{values['digest']}"
    assert values["tag-names"].splitlines() == [f"sha-{'5' * 12}-model-{'4' * 12}", "main"]
    assert values["tags"].splitlines()[1] == "localhost:5000/digits:main"
    assert values["model-hash"] == "4" * 64
    assert values["smoke-result"] == "passed"
    assert json.loads(values["vulnerabilities"]) == {"HIGH": 1}
    assert json.loads(values["json"]) == made.as_json()


def test_values_of_many_lines_reach_the_runner_whole(tmp_path: Path) -> None:
    path = tmp_path / "output"
    values = {"a": "one\ntwo\nEOF\nghadelimiter_0", "b": "x<<y", "c": ""}
    write_outputs(values, {"GITHUB_OUTPUT": str(path)})
    assert read_outputs(path) == values


def test_every_value_has_a_delimiter_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "output"
    write_outputs({"a": "1", "b": "2"}, {"GITHUB_OUTPUT": str(path)})
    delimiters = [line.partition("<<")[2] for line in path.read_text().splitlines() if "<<" in line]
    assert len(set(delimiters)) == 2


def test_the_output_of_many_failures_stays_below_githubs_limit() -> None:
    told = Told(1, Result.FAILED, failure=Failure("build", "x" * 10_000, "", 4))
    values = overview_outputs(Overview(tuple(ModelOverview(f"model-{n}", (told,)) for n in range(256))))
    assert json.loads(values["json"])["models"] == []
    assert json.loads(values["json"])["exit_code"] == 4
    one = overview_outputs(Overview((ModelOverview("model", (told,)),)))
    assert json.loads(one["json"])["models"][0]["problems"] == [f"build: {'x' * 10_000}"]


def test_outside_github_nothing_is_written(record: Callable[..., Record], tmp_path: Path) -> None:
    write_outputs({"a": "1"}, {})
    write_summary(record(), {})
    assert [path.name for path in tmp_path.iterdir() if path.suffix] == []


def test_an_annotation_cannot_start_another_command() -> None:
    assert escape_workflow_command("50%\n::set-output::x\r") == "50%25%0A::set-output::x%0D"
