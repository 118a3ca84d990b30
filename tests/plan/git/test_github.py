from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ml_containerize.names import GitSha
from ml_containerize.plan.git.github import BadEvent, PullRequest, Workflow

MERGE, HEAD = "b" * 40, "c" * 40


def environ(tmp_path: Path, event: Any = None, **values: str) -> dict[str, str]:
    path = tmp_path / "event.json"
    path.write_text(event if isinstance(event, str) else json.dumps(event or {}))
    usual = {
        "GITHUB_SHA": MERGE,
        "GITHUB_REF": "refs/heads/main",
        "GITHUB_EVENT_PATH": str(path),
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_REPOSITORY": "org/models",
        "GITHUB_WORKSPACE": str(tmp_path),
    }
    return usual | {f"GITHUB_{name.upper()}": value for name, value in values.items()}


def read(environment: dict[str, str]) -> Workflow:
    workflow = Workflow.read(environment)
    assert workflow
    return workflow


def test_outside_of_a_workflow_there_is_none() -> None:
    assert Workflow.read({}) is None
    assert Workflow.read({"GITHUB_SHA": ""}) is None


def test_a_push_has_a_branch_or_a_tag(tmp_path: Path) -> None:
    push = read(environ(tmp_path))
    assert (push.branch, push.tag, push.url) == ("main", "", "https://github.com/org/models")
    assert push.pull_request is None
    tag = read(environ(tmp_path, ref="refs/tags/v1.2.3"))
    assert (tag.branch, tag.tag) == ("", "v1.2.3")


def test_a_pull_request_tells_its_head_commit(tmp_path: Path) -> None:
    event = {"pull_request": {"number": 7, "head": {"sha": HEAD}}}
    workflow = read(environ(tmp_path, event, ref="refs/pull/7/merge"))
    assert workflow.pull_request == PullRequest(7, GitSha(HEAD))
    assert workflow.on_merge_ref
    assert workflow.branch == ""
    assert workflow.concerns(GitSha(HEAD))
    assert workflow.concerns(GitSha(MERGE))
    assert not workflow.concerns(GitSha("d" * 40))


def test_a_pull_request_tells_the_branch_that_it_is_to_go_into(tmp_path: Path) -> None:
    event = {"pull_request": {"number": 7, "head": {"sha": HEAD}, "base": {"sha": MERGE, "ref": "release/1"}}}
    pull = read(environ(tmp_path, event, ref="refs/pull/7/merge")).pull_request
    assert pull == PullRequest(7, GitSha(HEAD), base=MERGE, base_branch="release/1")


@pytest.mark.parametrize(
    ("event", "before", "forced"),
    [
        ({"before": HEAD}, HEAD, False),
        ({"before": HEAD, "forced": True}, HEAD, True),
        ({"before": "0" * 40, "created": True}, "0" * 40, False),
        ({"merge_group": {"base_sha": HEAD, "head_sha": MERGE}}, HEAD, False),
        ({"before": 7, "forced": "yes"}, "", False),
        ({}, "", False),
    ],
)
def test_a_push_and_a_merge_group_tell_what_they_stand_on(
    tmp_path: Path, event: Any, before: str, forced: bool
) -> None:
    workflow = read(environ(tmp_path, event))
    assert (workflow.before, workflow.forced) == (before, forced)


def test_without_an_event_the_ref_still_tells_the_number(tmp_path: Path) -> None:
    workflow = read(environ(tmp_path, ref="refs/pull/12/merge", event_path=""))
    assert workflow.pull_request == PullRequest(12, GitSha(MERGE))


@pytest.mark.parametrize("event", ["not json", "[" * 10])
def test_an_event_that_cannot_be_read_is_told(tmp_path: Path, event: str) -> None:
    with pytest.raises(BadEvent, match="GITHUB_EVENT_PATH"):
        Workflow.read(environ(tmp_path, event))


def test_an_event_of_another_shape_is_no_pull_request(tmp_path: Path) -> None:
    for event in ([1], {"pull_request": None}, {"pull_request": {"number": "7"}}):
        assert read(environ(tmp_path, event)).pull_request is None
