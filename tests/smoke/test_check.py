from __future__ import annotations

import io
import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ml_containerize.console import Console
from ml_containerize.errors import EnvironmentMissing
from ml_containerize.oci.image import Image
from ml_containerize.plan.decide import Plan
from ml_containerize.plan.settings.settings import Budgets
from ml_containerize.results import Outcome
from ml_containerize.smoke.cases import Case
from ml_containerize.smoke.check import Examination, examine, judge, smoke
from ml_containerize.smoke.client import Answer
from ml_containerize.smoke.engine import (
    Engine,
    EngineUnusable,
    ForeignPlatform,
    NoEngine,
    StartFailed,
    with_engine,
)
from ml_containerize.smoke.gpus import GpuRequest

CASE = Case("sum", {"data": [[1.0]]}, {"predictions": [[1.0]]})


def answer(content: object, status: int = 200) -> Answer:
    return Answer(status, json.dumps(content).encode(), 1.5)


def test_an_answer_as_recorded_passes() -> None:
    result = judge(CASE, answer({"predictions": [[1.0]]}))
    assert (result.name, result.passed, result.milliseconds, result.problem) == ("sum", True, 1.5, "")
    assert result.prediction == "[1]"


def test_a_refusal_is_told_in_the_servers_words() -> None:
    result = judge(CASE, answer({"error": "data[0] has 1 element, expected 64"}, 400))
    assert result.problem == ('answered 400, expected 200: {"error": "data[0] has 1 element, expected 64"}')


def test_a_request_that_must_be_refused_and_is_not_fails() -> None:
    case = Case("bad", {"data": "x"}, status=400)
    assert judge(case, answer({"predictions": [1]})).problem.startswith("answered 200, expected 400")
    assert judge(case, answer({"error": "no"}, 400)).passed


def test_an_answer_with_nan_is_a_difference() -> None:
    result = judge(CASE, Answer(200, b'{"predictions": [[NaN]]}', 1.0))
    assert "is nan, expected 1" in result.problem


def test_an_answer_that_nests_without_end_is_told_and_not_a_crash() -> None:
    assert "nested too deeply" in judge(CASE, Answer(200, b"[" * 100_000, 1.0)).problem


class NotHere(EngineUnusable):
    """For tests: an engine that cannot be opened."""


def absent(name: str) -> Any:
    def opener() -> Engine:
        raise NotHere(f"no {name}", f"Install {name}.")

    return opener


def named(name: str) -> Any:
    return lambda: cast("Engine", SimpleNamespace(name=name))


def test_auto_takes_the_first_engine_that_is_usable() -> None:
    console = Console(stream=io.StringIO())
    engines = {"docker": absent("docker"), "embedded": named("embedded")}
    assert with_engine("auto", engines, lambda engine: engine.name, console) == "embedded"
    assert with_engine("auto", {"docker": named("docker")}, lambda engine: engine.name, console) == "docker"


def test_the_engine_that_was_asked_for_is_not_replaced() -> None:
    console = Console(stream=io.StringIO())
    with pytest.raises(NotHere) as caught:
        with_engine("docker", {"docker": absent("docker"), "embedded": named("e")}, str, console)
    assert caught.value.exit_code == 8


def test_without_any_engine_every_reason_and_way_out_is_told() -> None:
    console = Console(stream=io.StringIO())
    with pytest.raises(NoEngine) as caught:
        with_engine("auto", {"docker": absent("docker"), "embedded": absent("bwrap")}, str, console)
    assert caught.value.exit_code == 8
    assert "no docker" in str(caught.value)
    assert "Install bwrap" in str(caught.value)


def test_an_engine_that_turns_out_unusable_in_the_middle_is_replaced_too() -> None:
    console = Console(stream=io.StringIO())

    def work(engine: Engine) -> str:
        if engine.name == "docker":
            raise NotHere("docker is on another machine")
        return engine.name

    engines = {"docker": named("docker"), "embedded": named("embedded")}
    assert with_engine("auto", engines, work, console) == "embedded"
    assert "docker is on another machine" in console.stream.getvalue()  # type: ignore[attr-defined]


class FailingEngine:
    """An engine whose container does not start."""

    name = "failing"
    notices = ("it is only a test",)

    def __init__(self, log: str) -> None:
        self.log = log

    @contextmanager
    def run(self, image: Image, gpus: GpuRequest, port: int = 0) -> Iterator[Any]:  # noqa: ARG002
        raise StartFailed("the container exited with status 1", self.log)
        yield


def image_for(architecture: str) -> Image:
    from ml_containerize.names import Digest, Platform

    return cast(
        "Image", SimpleNamespace(digest=Digest.of(b""), platform=Platform("linux", architecture), name="x")
    )


def examination(*cases: Case) -> Examination:
    return Examination(cases, GpuRequest("none"), 1.0, Budgets())


def test_a_container_that_does_not_start_is_a_report_with_its_last_log_lines() -> None:
    console = Console(stream=io.StringIO())
    log = "".join(f"line {number}\n" for number in range(100))
    report = examine(FailingEngine(log), image_for("amd64"), examination(CASE), console)
    assert report.outcome is Outcome.FAILED
    assert report.problems == ("the container exited with status 1",)
    assert report.log_tail.splitlines() == [f"line {number}" for number in range(50, 100)]
    assert "│ line 99" in console.stream.getvalue()  # type: ignore[attr-defined]


def test_without_cases_the_report_says_what_was_not_checked() -> None:
    console = Console(stream=io.StringIO())
    report = examine(FailingEngine(""), image_for("amd64"), examination(), console)
    assert report.notices[0] == "it is only a test"
    assert "there are no smoke cases" in report.notices[1]


def test_an_image_for_another_processor_is_exit_8_and_no_verdict() -> None:
    other = "arm64" if platform.machine() == "x86_64" else "amd64"
    engine = FailingEngine("exec /opt/venv/bin/python: exec format error")
    with pytest.raises(ForeignPlatform) as caught:
        examine(engine, image_for(other), examination(CASE), Console(stream=io.StringIO()))
    assert isinstance(caught.value, EnvironmentMissing)
    assert f"linux/{other}" in str(caught.value)


def test_a_smoke_test_that_is_switched_off_says_so_and_starts_nothing(tmp_path: Path) -> None:
    plan = cast("Plan", SimpleNamespace(settings=SimpleNamespace(smoke=False)))
    report = smoke(plan, image_for("amd64"), console=Console(quiet=True), environ=os.environ)
    assert report.outcome is Outcome.SKIPPED
    assert report.notices
