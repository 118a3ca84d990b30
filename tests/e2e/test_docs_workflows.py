"""Every workflow of the README and of docs/ is run by a real runner, as a reader would paste it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from doubles.github_double import GitHubDouble
from support.pages import Block, blocks
from support.workflow_runner import ROOT, SCRIPTS, WorkflowRunner, git, pull_request

pytestmark = pytest.mark.e2e

WORKFLOWS = [block for block in blocks("yaml") if block.is_workflow]
RUNNERS = ("-P", "gpu-l4=-self-hosted", "-P", "self-hosted=-self-hosted")


@pytest.fixture
def github() -> Iterator[GitHubDouble]:
    with GitHubDouble() as double:
        yield double


@pytest.fixture
def repository(tmp_path: Path, base_layout: Path, shared_cache: Path) -> Path:
    """A reader's: one light model, whose own file says what a network without the outside world needs."""
    project = tmp_path / "consumer"
    model = project / "models" / "digits"
    shutil.copytree(ROOT / "examples" / "wine-sklearn", model)
    closed = {
        "name": "digits",
        "base-image": str(base_layout),
        "cache-dir": str(shared_cache),
        "engine": "embedded",
        "trivy-path": str(SCRIPTS / "trivy"),
        "skip-db-update": True,
    }
    (model / "ml-containerize.yaml").write_text(yaml.safe_dump(closed))
    git(project, "init", "-q", "-b", "main")
    git(project, "remote", "add", "origin", "https://github.com/org/models")
    return project


def events(block: Block) -> dict[str, Any]:
    """What a workflow is started by, with its filters."""
    told = yaml.safe_load(block.text)[True]  # `on`, as YAML 1.1 reads it
    return {told: {}} if isinstance(told, str) else told


def occurrence(project: Path, event: str, filters: dict[str, Any]) -> dict[str, Any]:
    """The event as GitHub tells it: of a pull request, or of a tag where the workflow waits for tags."""
    if event == "pull_request":
        git(project, "checkout", "-q", "-b", "change")
        (project / "models" / "digits" / "notes.md").write_text("Nothing else.\n")
        git(project, "add", "-A")
        git(project, "commit", "-q", "-m", "Take notes")
        return pull_request(project, "org/models", "org/models", "change")
    if "tags" in (filters or {}):
        git(project, "tag", "v1.2.3")
        return {"ref": "refs/tags/v1.2.3"}
    return {"ref": "refs/heads/main"}


@pytest.mark.parametrize("block", WORKFLOWS, ids=str)
def test_a_workflow_of_a_page_ends_well(
    block: Block, repository: Path, action: Path, registry: str, github: GitHubDouble, tmp_path: Path
) -> None:
    text = block.text.replace("ghcr.io/org", f"{registry}/{tmp_path.name[-20:]}".lower())
    text = text.replace("gpus: all", "gpus: none")  # the machine has none; asking for one is exit code 8
    workflow = repository / ".github" / "workflows" / "pasted.yml"
    workflow.parent.mkdir(parents=True)
    workflow.write_text(text)
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "Paste a workflow")
    token = ("-s", f"GITHUB_TOKEN={github.token}", "--env", f"GITHUB_API_URL={github.url}")
    act = WorkflowRunner(action, tmp_path / "act")
    for event, filters in reversed(events(block).items()):
        payload = occurrence(repository, event, filters)
        ran = act(repository, event, payload, more=(*RUNNERS, *token))
        assert ran.succeeded, ran.log
        assert ran.ended(), ran.log
        assert len(github.bodies) == ("comment: true" in text)
    assert not [json.dumps(record) for record in ran.records().values() if record["result"] == "failed"]
