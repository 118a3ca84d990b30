"""`uses: org/ml-containerize@v1` in a workflow that a real runner runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from support.workflow_runner import ROOT, SCRIPTS, WorkflowRunner, git, released

pytestmark = pytest.mark.e2e

OF_OTHER_COMMANDS = {"models", "count", "any", "reason", "images"}

WORKFLOW = """
name: ship
on: push
permissions:
  contents: read
jobs:
  ship:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1
        with:
          persist-credentials: false
      - id: image
        uses: org/ml-containerize@v1
        with: {inputs}
      - name: tell
        if: always()
        shell: bash
        env:
          OUTPUTS: ${{{{ toJSON(steps.image.outputs) }}}}
          OUTCOME: ${{{{ steps.image.outcome }}}}
        run: |
          printf '%s' "$OUTPUTS" > "{report}/outputs.json"
          printf '%s' "$OUTCOME" > "{report}/outcome"
          git status --porcelain > "{report}/status"
          printf '%s' "$PATH" > "{report}/path"
"""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a workflow run left behind."""

    outputs: dict[str, str]
    outcome: str
    status: str
    path: str
    log: str


@pytest.fixture
def workflow(
    tmp_path: Path, digits: Path, registry: str, base_layout: Path, shared_cache: Path
) -> Callable[..., Ran]:
    """Run the workflow above in the digits project, with a change to it and more inputs."""
    act = WorkflowRunner(released(tmp_path / "action"), tmp_path / "act")
    report = tmp_path / "report"
    report.mkdir()

    def run(change: Callable[[Path], None] = lambda _: None, **inputs: str) -> Ran:
        change(digits)
        usual = {
            "images": f"{registry}/digits",
            "push": "true",
            "tags": "candidate",
            "base-image": str(base_layout),
            "cache-dir": str(shared_cache),
            "engine": "embedded",
            "trivy-path": str(SCRIPTS / "trivy"),
            "skip-db-update": "true",
            "python-path": sys.executable,
        }
        text = WORKFLOW.format(inputs=json.dumps({**usual, **inputs}), report=report)
        path = digits / ".github" / "workflows" / "ship.yml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        git(digits, "add", "-A")
        git(digits, "commit", "-q", "-m", "Ship it")
        ran = act(digits, "push", {})
        return Ran(
            outputs=json.loads((report / "outputs.json").read_text()),
            outcome=(report / "outcome").read_text(),
            status=(report / "status").read_text(),
            path=(report / "path").read_text(),
            log=ran.log,
        )

    return run


def declared(part: str) -> set[str]:
    return set(yaml.safe_load((ROOT / "action.yml").read_text())[part])


def test_the_released_action_ships_a_model_and_sets_every_output(workflow: Callable[..., Ran]) -> None:
    ran = workflow()
    assert ran.outcome == "success", ran.log
    assert set(ran.outputs) == declared("outputs")
    assert {name for name, value in ran.outputs.items() if not value} == OF_OTHER_COMMANDS
    assert ran.outputs["result"] == "released"
    assert ran.outputs["image"].endswith(ran.outputs["digest"])
    record = json.loads(ran.outputs["json"])
    assert record["tested_digest"] == record["pushed_digest"] == ran.outputs["digest"]
    names = ran.outputs["tag-names"].splitlines()
    assert "candidate" in names
    assert f"sha-{ran.outputs['git-sha'][:12]}-model-{ran.outputs['model-hash'][:12]}" in names


def test_the_callers_workspace_and_path_stay_as_they_were(workflow: Callable[..., Ran]) -> None:
    ran = workflow(push="false")
    assert ran.outcome == "success", ran.log
    assert ran.status == ""
    assert "ml-containerize" not in ran.path.replace(str(SCRIPTS), "")


def test_a_wrong_answer_fails_the_step_and_leaves_no_tag(workflow: Callable[..., Ran], registry: str) -> None:
    import requests

    def spoil(project: Path) -> None:
        case = next((project / "smoke").glob("*.json"))
        value = json.loads(case.read_text())
        value["expect"]["predictions"][0][0] += 1
        case.write_text(json.dumps(value))

    ran = workflow(spoil, images=f"{registry}/refused")
    assert ran.outcome == "failure"
    assert ran.outputs["result"] == "refused"
    assert ran.outputs["smoke-result"] == "failed"
    assert ran.outputs["tags"] == ""
    assert requests.get(f"http://{registry}/v2/refused/tags/list", timeout=10).status_code == 404
