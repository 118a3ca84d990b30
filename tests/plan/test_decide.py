from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest
from doubles.git_double import SHA, GitDouble
from doubles.models import write_saved_model

from ml_containerize.console import Console
from ml_containerize.names import BaseReference, Platform
from ml_containerize.plan.decide import DirtyTree, Plan, decide
from ml_containerize.plan.model.candidates import ModelNotFound
from ml_containerize.plan.settings.settings import load_settings

IMAGES = {"images": "ghcr.io/org/digits"}


def no_network(where: str, platform: Platform) -> BaseReference:
    raise AssertionError(f"{where} for {platform} is pinned")


def planned(
    project: Path, git: GitDouble | None = None, stream: io.StringIO | None = None, **flags: Any
) -> Plan:
    named = {name.replace("_", "-"): value for name, value in flags.items()}
    return decide(
        load_settings(project, named, {}),
        environ={},
        run=git or GitDouble(project),
        resolve_base=no_network,
        console=Console(stream=stream or io.StringIO()),
    )


@pytest.fixture
def repository(project: Path) -> Path:
    (project / ".git").mkdir()
    (project / "smoke").mkdir()
    for name in ("b.json", "a.json", "notes.txt"):
        (project / "smoke" / name).write_text("{}")
    (project / "metrics.json").write_text('{"accuracy": 0.9}')
    return project


def test_everything_is_decided_before_any_work(repository: Path) -> None:
    plan = planned(repository, tags="prod")
    assert plan.name == "digits"
    assert plan.model.format == "keras"
    assert plan.identity == f"sha-{SHA[:12]}-model-{plan.model.hash.short}"
    assert plan.tags == ("main", "prod")
    assert plan.version == "main"
    assert plan.created == "2026-01-01T00:00:00Z"
    assert plan.cases == (repository / "smoke/a.json", repository / "smoke/b.json")
    assert plan.metrics == {"accuracy": 0.9}
    assert plan.labels["io.ml-containerize.model.hash"] == plan.model.hash.hex
    assert plan.environment.base.name == "docker.io/library/python:3.12-slim-trixie"


def test_a_tag_that_releases_another_model_gives_no_version_and_a_word(repository: Path) -> None:
    told, git = io.StringIO(), GitDouble(repository, refs="HEAD, tag: refs/tags/cats/v1.2.3")
    plan = planned(repository, git, told)
    assert plan.tags == ()
    assert plan.version == plan.identity
    assert "releases another model than 'digits'" in told.getvalue()
    assert planned(repository, git, name="cats").tags == ("1.2.3", "1.2", "1", "latest")


def test_planning_writes_nothing(repository: Path) -> None:
    before = sorted(repository.rglob("*"))
    planned(repository)
    assert sorted(repository.rglob("*")) == before


def test_the_same_project_in_another_folder_gives_the_same_plan(repository: Path, tmp_path: Path) -> None:
    first = planned(repository)
    moved = repository.rename(tmp_path / "elsewhere")
    second = planned(moved, name="digits")
    assert (first.identity, first.environment.key, first.labels, first.created) == (
        second.identity,
        second.environment.key,
        second.labels,
        second.created,
    )


def test_a_project_outside_of_git_is_identified_by_its_model(project: Path) -> None:
    plan = planned(project)
    assert plan.identity == f"model-{plan.model.hash.short}"
    assert plan.version == plan.identity
    assert plan.tags == ()


def test_a_dirty_tree_is_planned_but_not_published(repository: Path) -> None:
    git = GitDouble(repository, status=" M train.py\0")
    assert planned(repository, git).identity.endswith("-dirty")
    with pytest.raises(DirtyTree, match="not committed") as caught:
        planned(repository, git, push=True, **IMAGES)
    assert "allow-dirty" in caught.value.fix
    allowed = planned(repository, git, push=True, allow_dirty=True, **IMAGES)
    assert allowed.identity.endswith("-dirty")
    assert allowed.tags == ()


@pytest.mark.parametrize(
    "name", ["ml-containerize.yaml", "model.keras", "requirements.lock", "metrics.json", "smoke/a.json"]
)
def test_an_untracked_file_that_decides_what_the_image_is_makes_the_tree_dirty(
    repository: Path, name: str
) -> None:
    if name.endswith(".yaml"):
        (repository / name).write_text("gpus: none\n")
    assert planned(repository, GitDouble(repository, status=f"?? {name}\0")).source.dirty
    assert not planned(repository, GitDouble(repository, status="?? notes.txt\0")).source.dirty


def test_a_saved_model_folder_is_planned_with_paths_relative_to_it(repository: Path) -> None:
    (repository / "model.keras").unlink()
    write_saved_model(repository / "export")
    plan = planned(repository)
    assert [str(file.path) for file in plan.model.files] == ["saved_model.pb", "variables/variables.index"]
    assert str(plan.model.files[0].image_path) == "opt/ml/model/saved_model.pb"


def test_a_missing_model_is_exit_3(repository: Path) -> None:
    (repository / "model.keras").unlink()
    with pytest.raises(ModelNotFound) as caught:
        planned(repository)
    assert caught.value.exit_code == 3


def test_long_hashing_shows_progress(repository: Path) -> None:
    seen: list[int] = []

    class Watched(Console):
        def progress(self, what: str, total: int) -> Any:
            seen.append(total)
            return super().progress(what, total)

    settings = load_settings(repository, {}, {})
    console = Watched(stream=io.StringIO(), quiet=True)
    run = GitDouble(repository)
    plan = decide(settings, environ=dict(os.environ), run=run, resolve_base=no_network, console=console)
    assert seen == [plan.model.size]
