from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from doubles.git_double import SHA, GitDouble

from ml_containerize.plan.git.git import Git
from ml_containerize.plan.git.github import Workflow
from ml_containerize.plan.monorepo.changed import Changes, find_changed
from ml_containerize.plan.monorepo.projects import Project
from ml_containerize.plan.settings.options import SHARED

HEAD, BASE, PARENT, OLDER = SHA, "b" * 40, "c" * 40, "d" * 40
PROJECTS = (
    Project("cats", "models/cats"),
    Project("digits", "models/digits", outside=("common/requirements.txt", "base")),
    Project("digits-2", "models/digits-2"),
)
MERGE_REF = {"ref": "refs/pull/7/merge"}


def pull_request(head: str = OLDER) -> dict[str, Any]:
    return {"pull_request": {"number": 7, "head": {"sha": head}, "base": {"sha": BASE, "ref": "main"}}}


def look(
    root: Path,
    differing: Sequence[str] = (),
    event: Any = None,
    since: str = "",
    ref: str = "refs/heads/main",
    sha: str = HEAD,
    projects: tuple[Project, ...] = PROJECTS,
    **repository: Any,
) -> tuple[Changes, list[tuple[str, ...]]]:
    """What changed in a repository where BASE and HEAD are known, and what git was asked."""
    (root / ".git").mkdir(exist_ok=True)
    double = GitDouble(root, differing=differing, **{"others": {BASE: 1}, **repository})
    git = Git.open(root, double, {})
    path = root / "event.json"
    path.write_text(json.dumps(event))
    environ = {"GITHUB_SHA": sha, "GITHUB_REF": ref, "GITHUB_EVENT_PATH": str(path)}
    assert git
    workflow = None if event is None else Workflow.read(environ)
    return find_changed(git, workflow, since, projects, SHARED), double.asked


def changes(root: Path, differing: Sequence[str] = (), **options: Any) -> Changes:
    return look(root, differing, **options)[0]


def compared(root: Path, **options: Any) -> tuple[str, str]:
    """The two commits that git was asked to compare."""
    (asked,) = [argv for argv in look(root, **options)[1] if "diff-tree" in argv]
    return asked[-2], asked[-1]


@pytest.mark.parametrize(
    ("differing", "changed"),
    [
        ([], []),
        (["README.md", "models/README.md"], []),
        (["models/digits/train.py"], ["digits"]),
        (["models/digits-2/smoke/one.json"], ["digits-2"]),
        (["models/cats/a b\n$(x)", "models/digits/deep/er/file"], ["cats", "digits"]),
        (["common/requirements.txt"], ["digits"]),
        (["base/blobs/sha256/0"], ["digits"]),
        (["models/cats"], ["cats"]),  # a folder that became a link or a submodule
    ],
)
def test_a_project_changed_where_a_file_did_that_it_is_made_of(
    tmp_path: Path, differing: list[str], changed: list[str]
) -> None:
    found = changes(tmp_path, differing, since=BASE)
    assert [one.name for one in found.projects] == changed
    assert not found.everything
    assert found.reason == f"{len(changed)} of 3 models changed since {BASE[:12]}"


@pytest.mark.parametrize(
    "path",
    [".github/workflows/check.yml", "pyproject.toml", "requirements.txt", "requirements/dev.lock", "uv.lock"],
)
def test_a_change_of_what_all_share_concerns_every_model(tmp_path: Path, path: str) -> None:
    found = changes(tmp_path, ["models/cats/x", path], since=BASE)
    assert (found.projects, found.everything) == (PROJECTS, True)
    assert path in found.reason


def test_a_project_whose_settings_cannot_be_read_is_never_left_out(tmp_path: Path) -> None:
    broken = Project("cats", "models/cats", problem="ml-containerize.yaml:1:1: …")
    found = changes(tmp_path, ["models/digits/x"], since=BASE, projects=(broken, PROJECTS[1]))
    assert [one.name for one in found.projects] == ["cats", "digits"]


def test_a_project_at_the_root_changed_with_any_file(tmp_path: Path) -> None:
    whole = Project("whole", ".")
    assert changes(tmp_path, ["deep/in/x"], since=BASE, projects=(whole,)).projects == (whole,)
    assert changes(tmp_path, [], since=BASE, projects=(whole,)).projects == ()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({}, "no event tells what to compare with"),
        ({"since": OLDER}, "does not hold the base"),
        ({"since": OLDER, "shallow": True}, "fetch-depth: 0"),
        ({"since": BASE, "sha": HEAD, "names": {"HEAD": ""}}, "there is no commit yet"),
        ({"event": {"before": "0" * 40}}, "new, or this is its first commit"),
        ({"event": {"before": OLDER}}, "does not hold the base"),
        ({"event": {"before": BASE, "forced": True}}, "force-pushed"),
        ({"event": {}}, "names no earlier commit"),
        ({"event": {"before": BASE}, "sha": OLDER}, "another commit than the event's"),
        ({"event": pull_request(), "sha": BASE}, "not what is checked out"),  # as pull_request_target does
        ({"event": pull_request(), **MERGE_REF, "others": {}}, "does not hold the base"),
    ],
)
def test_where_nothing_tells_the_base_every_model_counts_and_the_reason_is_told(
    tmp_path: Path, options: dict[str, Any], why: str
) -> None:
    found = changes(tmp_path, ["models/cats/x"], **options)
    assert (found.projects, found.everything) == (PROJECTS, True)
    assert found.reason.startswith("all models: ")
    assert why in found.reason


def test_a_push_is_compared_with_what_was_there_before(tmp_path: Path) -> None:
    assert compared(tmp_path, event={"before": BASE}, ref="refs/heads/main") == (BASE, HEAD)


def test_a_merge_group_is_compared_with_what_it_will_be_merged_into(tmp_path: Path) -> None:
    event = {"merge_group": {"base_sha": BASE, "head_sha": HEAD}}
    assert compared(tmp_path, event=event, ref="refs/heads/gh-readonly-queue/main/pr-7") == (BASE, HEAD)


def test_githubs_merge_is_compared_with_its_first_parent(tmp_path: Path) -> None:
    names = {"HEAD^1": PARENT}
    assert compared(tmp_path, event=pull_request(), **MERGE_REF, names=names) == (PARENT, HEAD)


def test_without_that_parent_it_is_compared_with_the_base_that_the_event_names(tmp_path: Path) -> None:
    assert compared(tmp_path, event=pull_request(), **MERGE_REF) == (BASE, HEAD)


def test_a_pull_requests_own_commit_is_compared_with_where_it_left_the_base(tmp_path: Path) -> None:
    event, elsewhere = pull_request(HEAD), {"sha": OLDER, **MERGE_REF}
    assert compared(tmp_path, event=event, **elsewhere, parted=PARENT) == (PARENT, HEAD)
    assert compared(tmp_path, event=event, **elsewhere) == (BASE, HEAD)


def test_a_name_that_looks_like_an_option_stays_a_name(tmp_path: Path) -> None:
    found = changes(tmp_path, since="--output=/tmp/x")
    assert found.everything
    assert "'--output=/tmp/x'" in found.reason
