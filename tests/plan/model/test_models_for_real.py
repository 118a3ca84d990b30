"""The command `models` in repositories of the real git."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ml_containerize import cli

pytestmark = pytest.mark.e2e


@pytest.fixture
def monorepo(tmp_path: Path) -> Path:
    """A repository with five models, and one commit."""
    root = tmp_path / "monorepo"
    for name in ("a", "b", "c", "d", "e"):
        (root / "models" / name / "smoke").mkdir(parents=True)
        (root / "models" / name / "model.onnx").write_text(name)
        (root / "models" / name / "smoke" / "one.json").write_text("{}")
    git(root, "init", "-q", "-b", "main")
    commit(root, "Add five models")
    return root


def git(root: Path, *argv: str) -> str:
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "protocol.file.allow=always"]
    env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    done = subprocess.run(["git", *who, *argv], cwd=root, env=env, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(root: Path, message: str) -> str:
    git(root, "add", "-A")
    git(root, "commit", "-q", "--allow-empty", "-m", message)
    return git(root, "rev-parse", "HEAD")


Models = Callable[..., dict[str, Any]]


@pytest.fixture
def models(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    chdir: Callable[[Path], None],
) -> Models:
    """Run the command in a repository, as a job for an event would: what it prints and puts out."""

    def run(
        root: Path, *argv: str, ref: str = "refs/heads/main", sha: str = "", **content: Any
    ) -> dict[str, Any]:
        chdir(root)
        (tmp_path / "event.json").write_text(json.dumps(content))
        for name, value in {
            "GITHUB_SHA": sha or git(root, "rev-parse", "HEAD"),
            "GITHUB_REF": ref,
            "GITHUB_EVENT_PATH": str(tmp_path / "event.json"),
            "GITHUB_OUTPUT": str(tmp_path / "output"),
            "GIT_CONFIG_GLOBAL": os.devnull,
        }.items():
            monkeypatch.setenv(name, value)
        (tmp_path / "output").write_text("")
        assert cli.main(["models", "--json", *argv]) == 0
        told: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert (
            json.dumps({"include": told["include"]}, separators=(",", ":"))
            in (tmp_path / "output").read_text()
        )
        return told

    return run


def names(told: dict[str, Any]) -> str:
    return "".join(job["name"] for job in told["include"])


def test_the_real_git_tells_what_a_push_a_merge_and_a_pull_request_changed(
    monorepo: Path, models: Models
) -> None:
    first = git(monorepo, "rev-parse", "HEAD")
    assert names(models(monorepo, "--changed", before="0" * 40)) == "abcde"
    git(monorepo, "checkout", "-q", "-b", "feature/$(id) 'ü' 😀".replace(" ", "_"))
    (monorepo / "models" / "b" / "model.onnx").write_text("changed")
    git(monorepo, "mv", "models/d/smoke/one.json", "models/e/smoke/two.json")
    (monorepo / "models" / "b" / "new\nfile 😀").write_text("")
    head = commit(monorepo, "Change b, and move from d to e")
    assert names(models(monorepo, "--changed", before=first)) == "be"  # d has no case any more
    assert names(models(monorepo, "--since", "main")) == "be"
    git(monorepo, "checkout", "-q", "main")
    (monorepo / "models" / "a" / "x").write_text("")
    main = commit(monorepo, "Change a")
    pull = {"pull_request": {"number": 7, "head": {"sha": head}, "base": {"sha": first, "ref": "main"}}}
    git(monorepo, "merge", "-q", "--no-ff", "-m", "Merge", head)
    merge_ref = "refs/pull/7/merge"
    assert names(models(monorepo, "--changed", ref=merge_ref, **pull)) == "be"
    git(monorepo, "checkout", "-q", "--detach", head)
    of_head = models(monorepo, "--changed", ref=merge_ref, sha=main, **pull)
    assert (names(of_head), of_head["all"]) == ("be", False)
    assert "feature" not in of_head["reason"]


def test_shallow_clones_forced_pushes_and_first_commits_check_every_model(
    monorepo: Path, tmp_path: Path, models: Models
) -> None:
    first = git(monorepo, "rev-parse", "HEAD")
    (monorepo / "models" / "b" / "x").write_text("")
    commit(monorepo, "Change b")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--depth", "1", monorepo.as_uri(), str(clone))
    told = models(clone, "--changed", before=first)
    assert (names(told), told["all"]) == ("abcde", True)
    assert "shallow" in told["reason"]
    shutil.rmtree(clone)
    git(tmp_path, "clone", "-q", "--filter=blob:none", monorepo.as_uri(), str(clone))
    git(clone, "remote", "remove", "origin")  # as without credentials: nothing can be fetched later
    assert names(models(clone, "--changed", before=first)) == "b"
    assert "force-pushed" in models(clone, "--changed", before=first, forced=True)["reason"]
    git(clone, "commit", "-q", "--amend", "-m", "Say it otherwise")
    gone = models(clone, "--changed", before="0123456789" * 4)
    assert (names(gone), gone["all"]) == ("abcde", True)


def test_a_user_of_odd_git_settings_gets_the_same_answer(monorepo: Path, models: Models) -> None:
    first = git(monorepo, "rev-parse", "HEAD")
    (monorepo / "models" / "b" / "naïve.txt").write_text("")
    commit(monorepo, "Change b")
    for name, value in (
        ("diff.relative", "true"),
        ("diff.noprefix", "true"),
        ("diff.external", "false"),
        ("core.quotePath", "true"),
        ("color.ui", "always"),
        ("log.showSignature", "true"),
    ):
        git(monorepo, "config", name, value)
    assert names(models(monorepo, "--changed", before=first)) == "b"
    assert names(models(monorepo, "--since=--output=x", before=first)) == "abcde"
    assert not (monorepo / "x").exists()
