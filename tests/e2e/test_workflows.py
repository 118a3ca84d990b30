"""The reusable workflows as users call them, `org/ml-containerize/…@v1`, run by a real runner."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from support import workflow_runner
from support.recording import record_anew
from support.relay import Relay
from support.workflow_runner import ROOT, SCRIPTS, WorkflowRunner, git, write_workflow

pytestmark = pytest.mark.e2e

WORKFLOWS = "org/ml-containerize/.github/workflows"
MODELS = ("a", "b", "c", "d", "e")
HOSTILE = '$(touch $HOME/pwned)`touch $HOME/pwned`" ::error::<img src=x> 🔥'

Repository = Callable[..., Path]


@pytest.fixture
def act(action: Path, tmp_path: Path) -> WorkflowRunner:
    return WorkflowRunner(action, tmp_path / "act")


@pytest.fixture
def closed(base_layout: Path, shared_cache: Path) -> dict[str, str]:
    """Inputs that a network without the outside world needs."""
    return {
        "base-image": str(base_layout),
        "cache-dir": str(shared_cache),
        "engine": "embedded",
        "trivy-path": str(SCRIPTS / "trivy"),
        "skip-db-update": "true",
        "python-path": sys.executable,
    }


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository with a model in each of the named folders and a caller of each workflow, on main."""

    def make(*names: str, check: Mapping[str, Any], release: Mapping[str, Any]) -> Path:
        project = tmp_path / "consumer"
        for name in names:
            folder = project / "models" / name
            shutil.copytree(ROOT / "examples" / "wine-sklearn", folder)
            (folder / "ml-containerize.yaml").write_text(f"name: wine-{name}\n")
        write_workflow(project, "check", caller("pull_request", "pr-check", check))
        write_workflow(project, "release", caller({"push": {"tags": ["**"]}}, "release", release))
        git(project, "init", "-q", "-b", "main")
        git(project, "remote", "add", "origin", "https://github.com/org/consumer")
        git(project, "add", "-A")
        git(project, "commit", "-q", "-m", "Add models")
        return project

    return make


def caller(events: object, workflow: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Ten lines, as the README shows them, with one job more that shows what came out."""
    show = {
        "runs-on": "ubuntu-latest",
        "needs": "models",
        "if": "always()",
        "steps": [{"env": {"GIVEN": "${{ toJSON(needs.models.outputs) }}"}, "run": 'echo "given:" $GIVEN'}],
    }
    return {
        "name": workflow,
        "on": events,
        "permissions": {"contents": "read"},
        "jobs": {
            "models": {"uses": f"{WORKFLOWS}/{workflow}.yml@v1", "with": dict(inputs)},
            "show": show,
        },
    }


def pull_request(project: Path, repository: str = "org/consumer") -> dict[str, Any]:
    """A hostile one, from the branch that is checked out to main."""
    return workflow_runner.pull_request(project, repository, "org/consumer", HOSTILE)


def change(project: Path, *files: str) -> None:
    git(project, "checkout", "-q", "-B", "change", "main")
    for file in files:
        (project / file).parent.mkdir(parents=True, exist_ok=True)
        (project / file).write_text(f"{time.time()}\n")
    git(project, "add", "-A")
    git(project, "commit", "-q", "-m", HOSTILE)


def spoil(project: Path, name: str) -> None:
    """Record an answer that the model does not give."""
    path = project / "models" / name / "smoke" / "one-wine.json"
    path.write_text(path.read_text().replace("class_0", "class_1"))
    git(project, "commit", "-q", "-a", "-m", f"Spoil {name}")


def retrain(model: Path, requests: Path) -> None:
    """Another model, with cases that were recorded anew: they pass, and say nothing of what used to be."""
    program = model / "train.py"
    program.write_text(program.read_text().replace("C=0.1", "C=10.0"))
    subprocess.run([sys.executable, program], check=True, capture_output=True)
    record_anew(model, requests)


def tag(project: Path, name: str) -> dict[str, Any]:
    git(project, "tag", name)
    return {"ref": f"refs/tags/{name}"}


def tags(registry: str, name: str) -> set[str]:
    """The names that a person sees in the registry, without those that the gates and environments use."""
    answer = requests.get(f"http://{registry}/v2/{name}/tags/list", timeout=10)
    listed = answer.json().get("tags") or [] if answer.status_code == 200 else []
    return {one for one in listed if not one.startswith(("env-", "sha256-"))}


def noting_gh(home: Path) -> Path:
    """A folder with a `gh` that knows no release yet, and writes down what it is asked and given."""
    folder = home / "gh"
    folder.mkdir(parents=True)
    program = folder / "gh"
    program.write_text(
        f'''#!/bin/sh
echo "$*" >> "{folder}/asked"
if [ "$2" = view ]; then exit 1; fi
while [ "$1" != --notes-file ]; do shift; done
cp "$2" "{folder}/notes.md"
'''
    )
    program.chmod(0o755)
    return folder


def test_a_fork_has_only_its_changed_models_checked_on_no_gpu_and_nothing_is_pushed(
    act: WorkflowRunner, repository: Repository, closed: dict[str, str], registry: str
) -> None:
    check = {**closed, "images": f"{registry}/fork/{{name}}", "gpu-runner": "gpu", "max-parallel": 2}
    project = repository(*MODELS, check=check, release=closed)

    change(project, "models/b/notes.md", "models/d/notes.md", "notes.md")
    two = act(project, "pull_request", pull_request(project, "stranger/consumer"))
    assert two.succeeded, two.log
    assert two.ended() == {"Find changed models", "wine-b", "wine-d", "required", "show"}
    assert {name: record["result"] for name, record in two.records().items()} == {
        "wine-b": "passed",
        "wine-d": "passed",
    }
    assert not any(tags(registry, f"fork/wine-{name}") for name in MODELS)
    assert "no GPU was asked" in two.log
    assert not (act.home / "pwned").exists()

    change(project, "notes.md")
    none = act(project, "pull_request", pull_request(project))
    assert none.succeeded, none.log
    assert none.ended() == {"Find changed models", "required", "show"}
    assert "nothing to check" in none.log


def test_one_model_of_three_that_answers_otherwise_fails_the_required_job_alone(
    act: WorkflowRunner, repository: Repository, closed: dict[str, str]
) -> None:
    project = repository("a", "b", "c", check={**closed, "sarif": True}, release=closed)
    change(project, ".github/workflows/shared.md")
    spoil(project, "b")
    ran = act(project, "pull_request", pull_request(project))
    assert not ran.succeeded
    assert "required" in ran.failed(), ran.log
    assert {name: record["result"] for name, record in ran.records().items()} == {
        "wine-a": "passed",
        "wine-b": "refused",
        "wine-c": "passed",
    }
    assert "1 of 3 models failed: wine-b" in ran.log
    shown = ran.artifacts.glob("sarif/ml-containerize/*/scan.sarif")
    assert {path.parent.name for path in shown} == {"wine-a", "wine-b", "wine-c"}


def test_one_model_is_asked_on_both_machines_then_released_under_its_version(
    act: WorkflowRunner, repository: Repository, closed: dict[str, str], registry: str
) -> None:
    usual = {**closed, "images": f"{registry}/one/{{name}}", "gpu-runner": "gpu", "gpus": "none"}
    project = repository("a", check=usual, release={**usual, "release-notes": True})
    change(project, "models/a/notes.md")
    checked = act(project, "pull_request", pull_request(project))
    assert checked.succeeded, checked.log
    assert checked.ended() == {"Find changed models", "wine-a", "wine-a on a GPU", "required", "show"}
    assert {name: record["result"] for name, record in checked.records().items()} == {
        "wine-a": "passed",
        "wine-a-gpu": "passed",
    }
    assert not tags(registry, "one/wine-a")

    gh = noting_gh(act.home)
    ran = replace(act, paths=(gh,))(project, "push", tag(project, "v1.2.3"))
    assert ran.succeeded, ran.log
    assert ran.ended() == {"Find models", "Build", "Smoke", "Scan", "Tag", "released", "show"}
    record = ran.records()["wine-a"]
    assert record["result"] == "released"
    identity = str(record["identity"])
    assert tags(registry, "one/wine-a") == {identity, "1.2.3", "1.2", "1", "latest"}
    image = f"{registry}/one/wine-a@{record['tested_digest']}"
    assert json.loads(ran.given()["images"]) == {"wine-a": image}
    assert record["tested_digest"] == record["pushed_digest"]
    manifest = requests.head(
        f"http://{registry}/v2/one/wine-a/manifests/latest",
        headers={"Accept": "application/vnd.oci.image.manifest.v1+json"},
        timeout=10,
    )
    assert manifest.headers["Docker-Content-Digest"] == record["tested_digest"]
    assert (gh / "asked").read_text().splitlines()[-1].startswith("release create v1.2.3 --verify-tag")
    assert str(record["tested_digest"]) in (gh / "notes.md").read_text()


def test_a_models_own_pre_release_moves_no_other_tag_and_a_tag_that_is_no_version_none(
    act: WorkflowRunner, repository: Repository, closed: dict[str, str], registry: str
) -> None:
    project = repository("a", "b", check=closed, release={**closed, "images": f"{registry}/pre/{{name}}"})
    ran = act(project, "push", tag(project, "wine-b/v2.0.0-rc.1"))
    assert ran.succeeded, ran.log
    assert tags(registry, "pre/wine-b") == {str(ran.records()["wine-b"]["identity"]), "2.0.0-rc.1"}
    assert not tags(registry, "pre/wine-a")

    wrong = act(project, "push", tag(project, "nightly-$(touch${IFS}$HOME/pwned)"))
    assert not wrong.succeeded
    assert wrong.failed() == {"Find models", "released"}
    assert "is no version" in wrong.log
    assert not (act.home / "pwned").exists()


def test_predictions_that_moved_fail_the_required_job_until_the_config_says_that_they_may(
    act: WorkflowRunner, repository: Repository, closed: dict[str, str], registry: str
) -> None:
    usual = {**closed, "images": f"{registry}/moved/{{name}}"}
    project = repository("a", check=usual, release={**usual, "tags": "main"})
    assert act(project, "push", tag(project, "v1.0.0")).succeeded

    git(project, "checkout", "-q", "-b", "change")
    retrain(project / "models" / "a", act.home / "requests")
    git(project, "commit", "-q", "-a", "-m", "Regularise less")
    refused = act(project, "pull_request", pull_request(project))
    assert "required" in refused.failed(), refused.log
    record = refused.records()["wine-a"]
    assert (record["result"], record["smoke"]["outcome"]) == ("refused", "passed")
    assert record["comparison"]["before"].startswith(f"{registry}/moved/wine-a:main@")
    assert "predictions: may-change" in refused.log

    with (project / "models" / "a" / "ml-containerize.yaml").open("a") as config:
        config.write("predictions: may-change\n")
    git(project, "commit", "-q", "-a", "-m", "Say that its answers may change")
    meant = act(project, "pull_request", pull_request(project))
    assert meant.succeeded, meant.log
    assert meant.records()["wine-a"]["comparison"]["moved"] == record["comparison"]["moved"] != []


def test_a_registry_that_goes_away_after_the_build_leaves_no_tag(
    act: WorkflowRunner, repository: Repository, closed: dict[str, str], registry: str
) -> None:
    with Relay(registry, until=b"PUT /v2/gone/wine-a/manifests/sha256:") as relay:
        release = {**closed, "images": f"{relay.address}/gone/{{name}}"}
        project = repository("a", check=closed, release=release)
        ran = act(project, "push", tag(project, "v1.2.3"))
    assert not ran.succeeded
    assert relay.closed, ran.log
    assert "Tag" not in ran.ended() - ran.failed()
    assert not tags(registry, "gone/wine-a")
