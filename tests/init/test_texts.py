from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ml_containerize.init.texts import config_text, workflow_text
from ml_containerize.plan.settings.config_file import read_config

ROOT = Path(__file__).parents[2]
GITHUB = "ghcr.io/ada/{name}"


def workflow(images: str = GITHUB, branch: str = "main") -> dict[str, dict]:  # type: ignore[type-arg]
    loaded: dict[str, dict] = yaml.safe_load(workflow_text(images, branch).replace("\non:", "\n'on':"))  # type: ignore[type-arg]
    return loaded


@pytest.mark.parametrize(
    "value", ["digits", "1.2", "1e3", "true", "null", "model #1.keras", "a\nb: c", "é.keras"]
)
def test_a_config_file_says_what_was_meant_whatever_the_words(tmp_path: Path, value: str) -> None:
    path = tmp_path / "ml-containerize.yaml"
    path.write_text(config_text({"name": value, "allow-pickle": True}, value))
    file = read_config(path, path.name)
    assert file.problems == []
    assert file.values == {"name": value, "allow-pickle": True}


def test_the_workflow_calls_what_is_released_with_inputs_that_it_has() -> None:
    for job in workflow()["jobs"].values():
        place, version = job["uses"].split("@")
        called = yaml.safe_load((ROOT / place.removeprefix("org/ml-containerize/")).read_text())
        trigger = called[True]["workflow_call"]  # YAML 1.1 reads `on` as true
        assert version == "v1"
        assert set(job.get("with", {})) <= set(trigger["inputs"])
        assert set(job.get("secrets", {})) <= set(trigger.get("secrets", {}))


def test_pull_requests_are_checked_without_a_right_to_write() -> None:
    made = workflow()
    check, release = made["jobs"]["check"], made["jobs"]["release"]
    assert made["permissions"] == {}
    assert check["if"] == "github.event_name == 'pull_request'"
    assert check["permissions"] == {"contents": "read", "packages": "read"}
    assert "secrets" not in check
    assert release["if"] == "github.event_name != 'pull_request'"
    assert release["permissions"] == {"contents": "read", "packages": "write"}
    assert check["with"]["images"] == release["with"]["images"] == GITHUB


def test_another_registry_needs_a_login_and_no_right_to_packages() -> None:
    jobs = workflow("registry.example.org/team/{name}")["jobs"]
    assert jobs["check"]["permissions"] == jobs["release"]["permissions"] == {"contents": "read"}
    assert jobs["release"]["secrets"] == {"password": "${{ secrets.REGISTRY_PASSWORD }}"}
    assert "packages" not in jobs["check"]["with"]


@pytest.mark.parametrize("branch", ["main", "release/1.x", 'a"b', "wild*[1]?"])
def test_the_workflow_runs_on_the_branch_that_releases_come_from(branch: str) -> None:
    (filter_,) = workflow(branch=branch)["on"]["push"]["branches"]
    assert filter_.replace("\\", "") == branch
    assert all(f"\\{sign}" in filter_ for sign in "*[]?" if sign in branch)
