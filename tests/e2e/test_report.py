"""The report over many models as a step of a workflow, with the comment that it keeps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from doubles.github_double import GitHubDouble
from support.workflow_runner import WorkflowRunner, git, released, write_workflow

pytestmark = pytest.mark.e2e

RECORD = {"record_version": 1, "result": "released", "project": "models/wine", "model": {"name": "wine"}}
IMAGE = f"ghcr.io/org/wine@sha256:{'a' * 64}"


def test_a_step_sums_up_the_records_and_keeps_the_comment(tmp_path: Path) -> None:
    act = WorkflowRunner(released(tmp_path / "action"), tmp_path / "act")
    project, records = tmp_path / "consumer", tmp_path / "records"
    records.mkdir()
    (records / "result.json").write_text(json.dumps({**RECORD, "image": IMAGE}))
    with GitHubDouble() as github:
        step = {
            "uses": "org/ml-containerize@v1",
            "id": "report",
            "with": {
                "command": "report",
                "path": str(records),
                "models": '{"include":[{"name":"wine","path":"models/wine"}]}',
                "comment": "true",
            },
            "env": {"GITHUB_TOKEN": github.token},
        }
        show = {"env": {"GIVEN": "${{ toJSON(steps.report.outputs) }}"}, "run": 'echo "given:" $GIVEN'}
        job = {"runs-on": "ubuntu-latest", "steps": [step, show]}
        write_workflow(project, "report", {"name": "report", "on": "pull_request", "jobs": {"report": job}})
        git(project, "init", "-q", "-b", "main")
        git(project, "remote", "add", "origin", "https://github.com/org/models")
        git(project, "add", "-A")
        git(project, "commit", "-q", "-m", "Report")
        head = {"sha": git(project, "rev-parse", "HEAD"), "ref": "change"}
        event = {"pull_request": {"number": 7, "head": head}}
        ran = act(project, "pull_request", event, more=("--env", f"GITHUB_API_URL={github.url}"))
    assert ran.succeeded, ran.log
    assert "no comment was written" not in ran.log
    assert "## ✅ 1 model passed" in github.bodies[0]
    given = ran.given()
    assert given["result"] == "passed"
    assert json.loads(given["images"]) == {"wine": IMAGE}
