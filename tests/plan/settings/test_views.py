from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from ml_containerize.plan.settings.options import OPTIONS
from ml_containerize.plan.settings.settings import load_settings
from ml_containerize.plan.settings.views import (
    SCHEMA_PATH,
    action_environment,
    action_inputs,
    add_flags,
    flags_of,
    json_schema,
    option_tables,
    schema_text,
)

ROOT = Path(__file__).parents[3]


@pytest.fixture
def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser()
    add_flags(made)
    return made


def test_the_schema_in_the_repository_is_the_declarations() -> None:
    assert (ROOT / SCHEMA_PATH).read_text() == schema_text(), "run `make generate`"


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft7Validator.check_schema(json_schema())


@pytest.mark.parametrize(
    "text",
    [
        "push: false\nseverity: [HIGH, LOW]\nlabels: {a: b}\nstartup-timeout: 2m\ntag-latest: true",
        "severity: HIGH,LOW\nstartup-timeout: 90\nlatency-p95-ms: 12.5\nexit-code: 0\ntag-latest: auto",
        "labels: [a=b]\nimages: ghcr.io/org/digits\nbase-image: ./base\ngpus: device=0,1",
    ],
)
def test_what_the_schema_accepts_the_command_accepts(project: Path, text: str) -> None:
    jsonschema.validate(yaml.safe_load(text), json_schema())
    (project / "ml-containerize.yaml").write_text(text)
    load_settings(project, {}, {})


@pytest.mark.parametrize(
    "value",
    [
        {"severty": "HIGH"},
        {"push": "yes"},
        {"password": "x"},
        {"gpus": "some"},
        {"exit-code": 300},
        {"name": 5},
    ],
)
def test_what_the_command_refuses_the_schema_refuses(value: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(value, json_schema())


def test_every_option_is_an_input_with_a_description_and_no_default_that_would_hide_the_file() -> None:
    inputs = action_inputs()
    assert list(inputs) == [option.name for option in OPTIONS]
    assert all(one["description"] and one["default"] == "" for one in inputs.values())
    assert action_environment()["ML_CONTAINERIZE_TAG_LATEST"] == "${{ inputs.tag-latest }}"
    assert len(action_environment()) == len(inputs)


def test_every_option_stands_in_the_tables() -> None:
    table = option_tables()
    assert all(f"| `{option.name}` | " in table for option in OPTIONS)


def test_flags_are_read_back_by_option_name(parser: argparse.ArgumentParser) -> None:
    typed = flags_of(parser.parse_args(["--no-push", "--tags", "a", "--tags", "b", "--gpus", "all"]))
    assert typed == {"push": False, "tags": ["a", "b"], "gpus": "all"}
    assert flags_of(parser.parse_args([])) == {}


def test_a_password_on_the_command_line_is_refused_without_being_shown(
    parser: argparse.ArgumentParser, project: Path
) -> None:
    typed = flags_of(parser.parse_args(["--password", "hunter2"]))
    with pytest.raises(Exception, match="ML_CONTAINERIZE_PASSWORD") as caught:
        load_settings(project, typed, {})
    assert "hunter2" not in str(caught.value)


def test_the_help_shows_no_password_flag(parser: argparse.ArgumentParser) -> None:
    assert "--password" not in parser.format_help()
    assert "--severity" in parser.format_help()


def test_the_schema_is_json_for_editors() -> None:
    assert json.loads(schema_text())["additionalProperties"] is False
