"""A pull request is held against the image of the branch that it is to go into."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from conftest import GIT_SETTINGS, ROOT, output_of
from support.command import Command, Ran
from support.recording import record_anew

pytestmark = pytest.mark.e2e

EXAMPLE = "iris-predictor"


@dataclass(frozen=True, slots=True)
class Branch:
    """A project whose main branch is published, and the command as a pull request's job runs it."""

    project: Path
    repository: str  # with the registry
    command: Command
    folder: Path

    def commit(self, message: str) -> None:
        for arguments in (["add", "-A"], ["commit", "-q", "-m", message]):
            output_of(["git", *arguments], cwd=self.project, env={**os.environ, **GIT_SETTINGS})

    def run(self, *flags: str, env: Mapping[str, str] | None = None) -> Ran:
        where = ("--images", self.repository, "--engine", "embedded")
        return self.command("run", self.project, *where, *flags, env=env or {}, output=self.folder / "out")

    def run_for_a_pull_request(self, *flags: str) -> Ran:
        """As GitHub starts a job for pull request 7 into main."""
        head = output_of(["git", "rev-parse", "HEAD"], cwd=self.project)
        event = {"pull_request": {"number": 7, "head": {"sha": head}, "base": {"ref": "main"}}}
        (self.folder / "event.json").write_text(json.dumps(event))
        self.summary.unlink(missing_ok=True)
        github = {
            "GITHUB_SHA": head,
            "GITHUB_REF": "refs/pull/7/merge",
            "GITHUB_WORKSPACE": str(self.project),
            "GITHUB_EVENT_PATH": str(self.folder / "event.json"),
            "GITHUB_STEP_SUMMARY": str(self.summary),
        }
        return self.run(*flags, env=github)

    @property
    def summary(self) -> Path:
        return self.folder / "summary.md"

    def tags(self) -> set[str]:
        host, _, path = self.repository.partition("/")
        return set(requests.get(f"http://{host}/v2/{path}/tags/list", timeout=10).json()["tags"])


@pytest.fixture
def main(tmp_path: Path, command: Command, registry: str) -> Branch:
    """The example, committed on main, proved and published from there."""
    project = tmp_path / EXAMPLE
    shutil.copytree(ROOT / "examples" / EXAMPLE, project, ignore=shutil.ignore_patterns(".*", "__pycache__"))
    shutil.copy(ROOT / "serving" / "requirements" / "python.lock", project / "requirements.lock")
    output_of(["git", "init", "-q", "-b", "main"], cwd=project, env={**os.environ, **GIT_SETTINGS})
    branch = Branch(project, f"{registry}/{tmp_path.name.replace('_', '-')}", command, tmp_path)
    branch.commit("Add irises")
    ran = branch.run("--push")
    assert ran.status == 0, ran.stderr
    assert "main" in branch.tags()
    assert ran.record["comparison"] is None
    assert [tensor["name"] for tensor in ran.record["smoke"]["interface"]["outputs"]]
    return branch


def learn_otherwise(branch: Branch) -> None:
    """Another model, with cases that were recorded anew: they pass, and say nothing of what used to be."""
    model = branch.project / "model" / "irises.json"
    learned = json.loads(model.read_text())
    learned["variances"] = [[2 * value for value in row] for row in learned["variances"]]
    model.write_text(json.dumps(learned))
    metrics = branch.project / "metrics.json"
    metrics.write_text(json.dumps({**json.loads(metrics.read_text()), "accuracy": 0.5}))
    record_anew(branch.project, branch.folder / "requests")
    branch.commit("Learn otherwise")


def test_predictions_that_moved_are_refused_until_somebody_says_that_they_were_meant(main: Branch) -> None:
    learn_otherwise(main)
    before = main.tags()
    refused = main.run_for_a_pull_request("--push")
    assert refused.status == 5, refused.stderr
    assert "predictions: may-change" in refused.stderr
    record = refused.record
    assert (record["result"], record["smoke"]["outcome"]) == ("refused", "passed")
    assert record["comparison"]["outcome"] == "failed"
    assert record["comparison"]["before"].startswith(f"{main.repository}:main@sha256:")
    moved = {move["name"]: move for move in record["comparison"]["moved"]}
    assert record["comparison"]["compared"] == 3
    assert "three-flowers" in moved
    assert 1e-6 < moved["three-flowers"]["absolute"] < 1
    assert main.tags() == before

    meant = main.run_for_a_pull_request("--push", "--predictions", "may-change")
    assert meant.status == 0, meant.stderr
    assert main.tags() - before == {meant.record["identity"], "pr-7", *proof_of(meant)}
    compared = meant.record["comparison"]
    assert compared["moved"] == record["comparison"]["moved"]
    assert compared["headline"].startswith("model changed, accuracy ")
    headline = main.summary.read_text().split("### Changes: ")[1].splitlines()[0]
    assert headline.startswith("model changed, accuracy ")
    assert "three-flowers" in main.summary.read_text()


def proof_of(ran: Ran) -> set[str]:
    return {f"{ran.record['digest'].replace(':', '-')}.proof"}


def test_packages_that_changed_are_told_without_their_layers(
    main: Branch, vulnerable_lock: Callable[[Path], None]
) -> None:
    vulnerable_lock(main.project)
    main.commit("Take another package")
    ran = main.run_for_a_pull_request("--no-scan")
    assert ran.status == 0, ran.stderr
    compared = ran.record["comparison"]
    assert compared["headline"].startswith("gunicorn 21.2.0 added, model unchanged, +")
    assert (compared["compared"], compared["moved"], compared["breaks"]) == (3, [], [])

    delete_layers(main)
    layout = str(main.folder / "out" / "layout")
    told = main.command("diff", f"{main.repository}:main", layout)
    assert told.status == 0, told.stderr
    assert told.stdout.splitlines()[0] == compared["headline"]
    asked = main.command("diff", layout, f"{main.repository}:main", "--json")
    differ = json.loads(asked.stdout)["differences"]
    assert differ["packages"] == [{"name": "gunicorn", "before": "21.2.0", "after": None}]
    assert differ["model"] == differ["metrics"] == differ["configuration"] == []
    assert differ["layers"] == ["packages"]
    assert differ["new_bytes"] > 0


def delete_layers(branch: Branch) -> None:
    """Take every layer of the published image out of the registry: whoever pulls one now fails."""
    host, _, path = branch.repository.partition("/")
    place = f"http://{host}/v2/{path}"
    accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    manifest = requests.get(f"{place}/manifests/main", headers=accept, timeout=10).json()
    for digest in {layer["digest"] for layer in manifest["layers"]}:
        assert requests.delete(f"{place}/blobs/{digest}", timeout=10).status_code == 202


def test_the_first_pull_request_of_a_repository_is_told_that_there_is_nothing_to_compare_with(
    main: Branch,
) -> None:
    fresh = Branch(main.project, f"{main.repository}-fresh", main.command, main.folder)
    ran = fresh.run_for_a_pull_request("--no-scan")
    assert ran.status == 0, ran.stderr
    assert ran.record["comparison"]["outcome"] == "skipped"
    assert "no image is published as" in ran.record["comparison"]["notices"][0]
    named = fresh.run_for_a_pull_request("--no-scan", "--compare-with", f"{main.repository}:missing")
    assert named.status == 8
    assert "compare-with" in named.stderr
