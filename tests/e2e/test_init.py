"""From a repository with one model to a published image: `init`, commit, and nothing else."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
import requests
from conftest import output_of
from support.command import Command
from support.workflow_runner import ROOT, SCRIPTS, WorkflowRunner, git, released

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def started(
    tmp_path_factory: pytest.TempPathFactory, shared_cache: Path, base_layout: Path, registry: str
) -> Path:
    """A repository that held one model and nothing else, after `init` and a commit."""
    project = tmp_path_factory.mktemp("newcomer") / "checkout"
    project.mkdir()
    shutil.copy(ROOT / "examples" / "wine-sklearn" / "model.skops", project)
    git(project, "init", "-q", "-b", "main")
    git(project, "remote", "add", "origin", "git@github.com:Ada/newcomer.git")
    command = Command(project.parent / "out", shared_cache, str(base_layout))
    ran = command("init", "--images", f"{registry}/first/{{name}}", cwd=project)
    assert ran.status == 0, ran.stderr
    assert [Path(line).relative_to(project).as_posix() for line in ran.stdout.splitlines()] == [
        "ml-containerize.yaml",
        "requirements.lock",
        ".github/workflows/ml-containerize.yml",
        "smoke/zeros.json",
        "smoke/made-up.json",
    ]
    git(project, "add", "-A")
    git(project, "commit", "-q", "-m", "Begin")
    return project


def test_what_init_writes_takes_the_model_through_the_whole_job(
    started: Path, command: Command, registry: str
) -> None:
    ran = command(
        "run", started, "--engine", "embedded", "--images", f"{registry}/by-hand/{{name}}", "--push"
    )
    assert ran.status == 0, ran.stderr
    assert ran.record["result"] == "released"
    assert ran.stdout.startswith(f"{registry}/by-hand/newcomer@sha256:")
    assert [case["name"] for case in ran.record["smoke"]["cases"]] == ["made-up", "zeros"]
    assert command("init", started).stdout == ""  # nothing is missing now


def test_the_written_workflow_is_one_that_github_takes_and_asks_for_no_more_than_it_needs(
    started: Path,
) -> None:
    workflow = started / ".github" / "workflows" / "ml-containerize.yml"
    output_of([SCRIPTS / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", workflow])
    argv = [SCRIPTS / "zizmor", "--offline", "--persona", "pedantic", "--format", "json", "--no-exit-codes"]
    findings = json.loads(output_of([*argv, workflow]))
    assert {finding["ident"] for finding in findings} <= {"unpinned-uses"}  # of this product's own @v1


def test_init_and_a_commit_are_all_that_it_takes_to_publish_a_tagged_image(
    started: Path, tmp_path: Path, shared_cache: Path, base_layout: Path, registry: str
) -> None:
    project = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(started), "clone")
    git(project, "remote", "set-url", "origin", "https://github.com/Ada/newcomer")
    for_a_closed_network = {
        "base-image": str(base_layout),
        "cache-dir": str(shared_cache),
        "engine": "embedded",
        "trivy-path": str(SCRIPTS / "trivy"),
        "skip-db-update": True,
    }
    with (project / "ml-containerize.yaml").open("a") as config:
        config.writelines(f"{key}: {json.dumps(value)}\n" for key, value in for_a_closed_network.items())
    git(project, "commit", "-q", "-a", "-m", "Settle in a closed network")

    act = WorkflowRunner(released(tmp_path / "action"), tmp_path / "act", (Path(sys.executable).parent,))
    ran = act(project, "push", {"ref": "refs/heads/main"})
    assert ran.succeeded, ran.log
    assert "Check" not in ran.ended()
    record = ran.records()["newcomer"]
    assert record["result"] == "released"
    listed = requests.get(f"http://{registry}/v2/first/newcomer/tags/list", timeout=10).json()["tags"]
    assert {"main", record["identity"]} <= set(listed)
    assert "latest" not in listed
