from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from doubles.git_double import SHA, TIME, GitDouble

from ml_containerize.command import Completed
from ml_containerize.names import GitSha
from ml_containerize.plan.git.git import (
    Change,
    Commit,
    DubiousOwnership,
    Git,
    GitFailed,
    GitMissing,
    Tracked,
    public_url,
)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / ".git").mkdir()
    (tmp_path / "models").mkdir()
    return tmp_path


def opened(folder: Path, run: Any) -> Git:
    git = Git.open(folder, run, {"PATH": "/bin"})
    assert git
    return git


def failing(stderr: str) -> Any:
    return lambda argv, **_: Completed(tuple(argv), 128, "", stderr)


def test_a_folder_outside_a_repository_asks_nobody(tmp_path: Path) -> None:
    double = GitDouble(tmp_path)
    assert Git.open(tmp_path, double, {}) is None
    assert double.asked == []


def test_the_commit_is_told_with_time_branch_and_tags(repository: Path) -> None:
    refs = "HEAD -> refs/heads/a/b, tag: refs/tags/v1.0.0, refs/remotes/origin/main, tag: refs/tags/new"
    git = opened(repository / "models", GitDouble(repository, refs=refs))
    assert git.head() == Commit(GitSha(SHA), TIME, "a/b", ("new", "v1.0.0"))


def test_a_detached_head_has_no_branch(repository: Path) -> None:
    git = opened(repository, GitDouble(repository, refs="HEAD, tag: refs/tags/v1.0.0, refs/heads/main"))
    assert git.head() == Commit(GitSha(SHA), TIME, "", ("v1.0.0",))


def test_a_repository_without_a_commit_has_none(repository: Path) -> None:
    assert opened(repository, GitDouble(repository, sha="")).head() is None


def test_files_are_told_with_links_and_without_submodules(repository: Path) -> None:
    def listing(argv: Sequence[str], **_: Any) -> Completed:
        entries = (f"100644 {SHA} 0\tb", f"120000 {SHA} 0\ta\tb\nc", f"160000 {SHA} 0\tsub")
        conflict = (f"100644 {SHA} 1\tboth", f"100644 {SHA} 2\tboth")
        listed = "\0".join((*entries, *conflict, ""))
        return Completed(tuple(argv), 0, listed if "ls-files" in argv else f"{repository}\n", "")

    assert opened(repository, listing).files() == [
        Tracked("a\tb\nc", link=True),
        Tracked("b"),
        Tracked("both"),
    ]


def test_a_name_is_resolved_to_a_commit_or_to_nothing(repository: Path) -> None:
    git = opened(repository, GitDouble(repository, names={"HEAD^1": "c" * 40}))
    assert (git.resolve("HEAD"), git.resolve("HEAD^1")) == (GitSha(SHA), GitSha("c" * 40))
    assert git.resolve("other") is None


def test_changes_are_told_with_odd_names(repository: Path) -> None:
    double = GitDouble(repository, status=" M models/a b\0?? models/new\nline\0D  gone\0")
    assert opened(repository, double).changes([repository / "models"]) == [
        Change(repository / "models/a b", untracked=False),
        Change(repository / "models/new\nline", untracked=True),
        Change(repository / "gone", untracked=False),
    ]
    assert double.asked[-1][-2:] == ("--", str(repository / "models"))


def test_paths_outside_the_repository_are_not_asked_for(repository: Path, tmp_path: Path) -> None:
    double = GitDouble(repository)
    opened(repository, double).changes([repository, Path("/etc/hosts")])
    assert double.asked[-1][-1] == str(repository)


def test_a_repository_of_another_user_is_told_with_the_way_out(repository: Path) -> None:
    stderr = f"fatal: detected dubious ownership in repository at '{repository}'"
    with pytest.raises(DubiousOwnership) as caught:
        opened(repository, failing(stderr))
    assert "git config --global --add safe.directory" in caught.value.fix
    assert caught.value.exit_code == 3


def test_a_broken_repository_is_told(repository: Path) -> None:
    with pytest.raises(GitFailed, match="bad object"):
        opened(repository, failing("fatal: bad object HEAD"))


def test_a_missing_program_is_told(repository: Path) -> None:
    def missing(argv: Sequence[str], **_: Any) -> Completed:
        raise FileNotFoundError(argv[0])

    with pytest.raises(GitMissing) as caught:
        opened(repository, missing)
    assert caught.value.exit_code == 8


def test_a_program_that_hangs_is_told(repository: Path) -> None:
    def hanging(argv: Sequence[str], **_: Any) -> Completed:
        raise TimeoutError("git did not end within 120 s")

    with pytest.raises(GitFailed, match="did not end"):
        opened(repository, hanging)


def test_a_hooks_variables_do_not_mislead(repository: Path) -> None:
    seen: dict[str, str] = {}

    def keep(argv: Sequence[str], **options: Any) -> Completed:
        seen.update(options["env"])
        return Completed(tuple(argv), 0, f"{repository}\n", "")

    Git.open(repository, keep, {"GIT_DIR": ".git", "HOME": "/root"})
    assert seen == {"HOME": "/root", "LC_ALL": "C"}


@pytest.mark.parametrize(
    ("remote", "url"),
    [
        ("https://github.com/org/models.git", "https://github.com/org/models"),
        ("https://ada:token@github.com/org/models", "https://github.com/org/models"),
        ("https://token@example.org:8443/org/models.git", "https://example.org:8443/org/models"),
        ("git@github.com:org/models.git", "https://github.com/org/models"),
        ("ssh://git@example.org:2222/org/models.git", "https://example.org/org/models"),
        ("/srv/git/models.git", ""),
        ("../models", ""),
        ("file:///srv/git/models", ""),
        ("", ""),
        ("https://[broken", ""),
    ],
)
def test_a_remote_becomes_an_address_without_credentials_or_host_paths(remote: str, url: str) -> None:
    assert public_url(remote) == url
