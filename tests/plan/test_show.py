from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from doubles.git_double import SHA, GitDouble

from ml_containerize.console import Console
from ml_containerize.names import BaseReference, Platform
from ml_containerize.plan.decide import Plan, decide
from ml_containerize.plan.settings.settings import load_settings
from ml_containerize.plan.show import plan_as_json, render_plan

SECRET = {"ML_CONTAINERIZE_USERNAME": "ada", "ML_CONTAINERIZE_PASSWORD": "hunter2"}


@pytest.fixture
def repository(project: Path) -> Path:
    (project / ".git").mkdir()
    return project


def planned(project: Path, base: BaseReference, **flags: Any) -> Plan:
    def resolve(_: str, __: Platform) -> BaseReference:
        return base

    settings = load_settings(
        project, {name.replace("_", "-"): value for name, value in flags.items()}, SECRET
    )
    console = Console(stream=io.StringIO(), quiet=True)
    return decide(settings, environ={}, run=GitDouble(project), resolve_base=resolve, console=console)


def test_people_see_what_will_happen(repository: Path, base: BaseReference) -> None:
    plan = planned(repository, base, base_image="python:3.12", images="ghcr.io/org/digits", push=True)
    text = render_plan(plan)
    lines = {line[2:15].strip(): line[15:].strip() for line in text.splitlines()[1:]}
    assert text.splitlines()[0] == "digits"
    assert lines["model"].startswith("model.keras · keras · 1 file · ")
    assert lines["model hash"] == plan.model.hash.hex
    assert lines["base"] == "docker.io/library/python:3.12 · linux/amd64"
    assert lines["commit"] == f"{SHA} · main"
    assert lines["identity"] == plan.identity
    assert lines["tags"] == "main"
    assert lines["images"] == "ghcr.io/org/digits · pushed if every gate passes"
    assert lines["smoke"] == "0 cases · engine auto · gpus auto"
    assert lines["scan"] == "vuln, secret · refuses CRITICAL, HIGH that have a fix"


def test_what_is_skipped_is_said(repository: Path, base: BaseReference) -> None:
    text = render_plan(planned(repository, base, smoke=False, scan=False))
    assert text.count("skipped") == 2
    assert "not pushed" in text
    assert "reports only" in render_plan(planned(repository, base, exit_code="0"))


def test_the_json_holds_everything_but_secrets(repository: Path, base: BaseReference) -> None:
    plan = planned(repository, base, labels="a=b", latency_p95_ms="20")
    told = json.loads(json.dumps(plan_as_json(plan)))
    assert told["identity"] == plan.identity
    assert told["model"]["hash"] == plan.model.hash.hex
    assert told["model"]["files"][0]["path"] == "model.keras"
    assert told["environment"]["tag"] == f"env-{plan.environment.key.hex[:32]}"
    assert told["source"]["sha"] == SHA
    assert told["settings"]["budgets"]["latency_p95_ms"] == 20.0
    assert told["settings"]["severity"] == ["CRITICAL", "HIGH"]
    assert told["settings"]["labels"] == {"a": "b"}
    assert "password" not in told["settings"]
    assert "hunter2" not in json.dumps(told) + render_plan(plan)
