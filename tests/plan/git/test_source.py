from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from doubles.git_double import SHA, TIME, GitDouble

from ml_containerize.command import run as run_program
from ml_containerize.names import GitSha
from ml_containerize.plan.git.source import BadEpoch, Source, read_source

HEAD, MERGE = "c" * 40, "b" * 40


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a project in `models`."""
    (tmp_path / ".git").mkdir()
    (tmp_path / "models").mkdir()
    return tmp_path


def read(repository: Path, run: Any = None, **environ: str) -> Source:
    project = repository / "models"
    inputs = [project / "model.keras", project / "requirements.lock"]
    output, double = project / ".ml-containerize", run or GitDouble(repository)
    return read_source(project, inputs, output, "digits", run=double, environ=environ)


def workflow(repository: Path, sha: str, ref: str, event: Any = None) -> dict[str, str]:
    path = repository / "event.json"
    path.write_text(json.dumps(event or {}))
    return {
        "GITHUB_SHA": sha,
        "GITHUB_REF": ref,
        "GITHUB_EVENT_PATH": str(path),
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_REPOSITORY": "org/models",
        "GITHUB_WORKSPACE": str(repository),
    }


PULL = {"pull_request": {"number": 7, "head": {"sha": HEAD}}}


def test_outside_of_git_nothing_is_known(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    assert read(tmp_path) == Source()


def test_a_clone_tells_commit_branch_time_and_address(repository: Path) -> None:
    source = read(repository)
    assert source == Source(GitSha(SHA), "main", epoch=TIME, url="https://github.com/org/models")


def test_a_tag_that_is_checked_out_is_the_source(repository: Path) -> None:
    source = read(repository, GitDouble(repository, refs="HEAD, tag: refs/tags/v1.2.3"))
    assert (source.branch, source.tag) == ("", "v1.2.3")


@pytest.mark.parametrize(
    ("tags", "chosen"),
    [
        (("cats/v9.0.0", "digits/v1.2.3"), "digits/v1.2.3"),
        (("v1.10.0", "v1.9.0"), "v1.10.0"),
        (("v2.0.0", "v2.0.0-rc.1"), "v2.0.0"),
        (("digits/v1.2.3", "v1.0.0"), "digits/v1.2.3"),
        (("cats/v9.0.0",), "cats/v9.0.0"),
        (("nightly", "v1.2"), "v1.2"),
    ],
)
def test_of_several_tags_the_models_own_highest_version_counts(
    repository: Path, tags: tuple[str, ...], chosen: str
) -> None:
    refs = ", ".join(["HEAD", *(f"tag: refs/tags/{tag}" for tag in tags)])
    assert read(repository, GitDouble(repository, refs=refs)).tag == chosen


def test_a_repository_without_a_commit_has_no_sha(repository: Path) -> None:
    assert read(repository, GitDouble(repository, sha="")).sha is None


def test_a_push_is_named_by_github(repository: Path) -> None:
    double = GitDouble(repository, refs="HEAD", remote="")
    source = read(repository, double, **workflow(repository, SHA, "refs/heads/main"))
    assert source == Source(GitSha(SHA), "main", epoch=TIME, url="https://github.com/org/models")


def test_a_pushed_tag_is_named_by_github(repository: Path) -> None:
    double = GitDouble(repository, refs="HEAD, tag: refs/tags/other")
    assert read(repository, double, **workflow(repository, SHA, "refs/tags/v1.2.3")).tag == "v1.2.3"


def test_a_pull_request_is_its_head_commit_not_githubs_merge(repository: Path) -> None:
    double = GitDouble(repository, sha=MERGE, refs="HEAD", others={HEAD: 5})
    source = read(repository, double, **workflow(repository, MERGE, "refs/pull/7/merge", PULL))
    assert (source.sha, source.pull_request, source.branch) == (GitSha(HEAD), 7, "")
    assert source.epoch == 5


def test_a_shallow_clone_takes_the_time_from_the_merge(repository: Path) -> None:
    double = GitDouble(repository, sha=MERGE, refs="HEAD")
    source = read(repository, double, **workflow(repository, MERGE, "refs/pull/7/merge", PULL))
    assert (source.sha, source.epoch) == (GitSha(HEAD), TIME)


def test_a_pull_requests_head_that_is_checked_out_never_counts_as_the_base_branch(repository: Path) -> None:
    double = GitDouble(repository, sha=HEAD, refs="HEAD")
    source = read(repository, double, **workflow(repository, MERGE, "refs/heads/main", PULL))
    assert (source.sha, source.pull_request, source.branch) == (GitSha(HEAD), 7, "")


def test_the_base_of_a_pull_request_target_is_its_branch(repository: Path) -> None:
    double = GitDouble(repository, sha=MERGE, refs="HEAD")
    source = read(repository, double, **workflow(repository, MERGE, "refs/heads/main", PULL))
    assert (source.sha, source.pull_request, source.branch) == (GitSha(MERGE), None, "main")


def test_another_repository_than_the_events_speaks_for_itself(repository: Path) -> None:
    source = read(repository, **workflow(repository, "d" * 40, "refs/heads/other"))
    assert (source.sha, source.branch) == (GitSha(SHA), "main")


def test_a_checkout_without_git_is_named_by_github(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    source = read(tmp_path, **workflow(tmp_path, SHA, "refs/heads/main"))
    assert (source.sha, source.branch, source.dirty) == (GitSha(SHA), "main", False)
    away = workflow(tmp_path, SHA, "refs/heads/main") | {"GITHUB_WORKSPACE": "/somewhere/else"}
    assert read(tmp_path, **away).sha is None


@pytest.mark.parametrize(
    ("status", "dirty"),
    [
        ("", False),
        (" M models/train.py\0", True),
        (" D models/model.keras\0", True),
        ("A  models/new.py\0", True),
        ("?? models/notes.txt\0", False),
        ("?? models/model.keras\0", True),
        ("?? models/model.keras/variables/x\0", True),
        ("?? models/requirements.lock\0", True),
        (" M models/.ml-containerize/result.json\0", False),
        ("?? models/.ml-containerize/layout/x\0", False),
    ],
)
def test_only_changes_that_matter_make_a_tree_dirty(repository: Path, status: str, dirty: bool) -> None:
    assert read(repository, GitDouble(repository, status=status)).dirty is dirty


def test_source_date_epoch_wins_over_the_commits_time(repository: Path) -> None:
    assert read(repository, SOURCE_DATE_EPOCH="1700000000").epoch == 1_700_000_000
    assert read(repository, SOURCE_DATE_EPOCH="").epoch == TIME


@pytest.mark.parametrize("text", ["now", "-1", "1.5", "9" * 15, "¹"])
def test_a_source_date_epoch_that_is_no_time_is_told(repository: Path, text: str) -> None:
    with pytest.raises(BadEpoch, match="SOURCE_DATE_EPOCH") as caught:
        read(repository, SOURCE_DATE_EPOCH=text)
    assert caught.value.exit_code == 2


@pytest.mark.e2e
def test_the_real_git_is_understood(tmp_path: Path) -> None:
    project = tmp_path / "models"
    project.mkdir()
    (project / "a b\nc").write_text("")
    settings = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "HOME": str(tmp_path)}
    author = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    env = {**os.environ, **settings, "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z"}

    def git(*argv: str) -> None:
        subprocess.run(["git", *author, *argv], cwd=tmp_path, env=env, check=True, capture_output=True)

    def now() -> Source:
        inputs, output = [project / "model.keras"], project / "out"
        environ = settings | {"PATH": env["PATH"]}
        return read_source(project, inputs, output, "digits", run=run_program, environ=environ)

    git("init", "-q", "-b", "feature/x")
    assert now().sha is None
    git("add", "-A")
    git("commit", "-q", "-m", "one")
    clean = now()
    assert (clean.branch, clean.dirty, clean.epoch, clean.url) == ("feature/x", False, TIME, "")
    (project / "out").mkdir()
    (project / "out" / "model.keras").write_text("")
    (project / "notes").write_text("")
    assert not now().dirty
    (project / "a b\nc").write_text("changed")
    assert now().dirty
    git("checkout", "-q", "--", ".")
    git("tag", "-m", "release", "v1.2.3")
    git("checkout", "-q", "--detach")
    assert (now().branch, now().tag) == ("", "v1.2.3")
    (project / "model.keras").write_text("")
    assert now().dirty


@pytest.mark.e2e
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a repository to another user")
def test_the_real_gits_distrust_is_understood(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / "models").mkdir()
    os.chown(tmp_path, 65534, 65534)
    os.chown(tmp_path / ".git", 65534, 65534)
    environ = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_SYSTEM": os.devnull}
    with pytest.raises(Exception, match=r"safe\.directory"):
        read(tmp_path, run_program, **environ)
