from __future__ import annotations

import json
import logging
from datetime import datetime
from typing import Any

import pytest

from serving.logs import JsonFormatter


def formatted(message: object, *arguments: object, **more: Any) -> dict[str, Any]:
    record = logging.LogRecord(
        "serving", logging.ERROR, __file__, 1, message, arguments, more.pop("exc_info", None)
    )
    record.__dict__.update(more)
    text = JsonFormatter().format(record)
    assert len(text.splitlines()) == 1
    line: dict[str, Any] = json.loads(text)
    return line


def test_an_event_has_its_time_level_logger_and_message() -> None:
    line = formatted("the model %s", "failed")
    assert datetime.fromisoformat(line.pop("time")).tzinfo is not None
    assert line == {"level": "error", "logger": "serving", "message": "the model failed"}


def test_fields_join_the_line_but_cannot_replace_what_is_there() -> None:
    line = formatted("ready", fields={"seconds": 1.5, "level": "none", "message": ""})
    assert (line["seconds"], line["level"], line["message"]) == (1.5, "error", "ready")


@pytest.mark.parametrize("text", ['a\n{"level": "info"}', "a\r\nb", '"}', "\x1b[2J", "\x00"])
def test_a_message_cannot_forge_a_line(text: str) -> None:
    assert formatted("%s", text)["message"] == text


def test_an_exception_comes_with_its_trace() -> None:
    try:
        raise ValueError("of\nlines")
    except ValueError as error:
        line = formatted("failed", exc_info=(type(error), error, error.__traceback__))
    assert line["trace"].startswith("Traceback")
    assert line["trace"].endswith("ValueError: of\nlines")
    assert __file__ in line["trace"]


@pytest.mark.parametrize(
    ("value", "logged"),
    [
        (ValueError("any object"), "any object"),
        (2**70, 2**70),
        ("half \ud800", "half \ud800"),
        (float("nan"), None),
        ({1: 2}, {"1": 2}),
        ({2**70: ValueError("x")}, {str(2**70): "x"}),
    ],
)
def test_a_field_may_be_anything(value: object, logged: object) -> None:
    assert formatted("m", fields={"value": value})["value"] == logged
