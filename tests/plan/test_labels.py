from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from doubles.git_double import TIME

from ml_containerize.names import BaseReference, EnvironmentKey, GitSha, ModelHash, Platform
from ml_containerize.plan.environment.environment import Environment
from ml_containerize.plan.git.source import Source
from ml_containerize.plan.labels import BadMetrics, created, labels, read_metrics
from ml_containerize.plan.model.model import Model

SOURCE = Source(GitSha("a" * 40), "main", epoch=TIME, url="https://github.com/org/models")


@pytest.fixture
def environment(base: BaseReference, tmp_path: Path) -> Environment:
    return Environment(
        tmp_path / "lock", (), base, tmp_path, Platform("linux", "amd64"), EnvironmentKey("e" * 64)
    )


def made(environment: Environment, source: Source = SOURCE, **changes: Any) -> dict[str, str]:
    model = Model(Path("model.keras"), "keras", (), ModelHash("c" * 64))
    usual = {"name": "digits", "identity": "sha-a-model-c", "metrics": None, "further": {}}
    return labels(model=model, environment=environment, source=source, **(usual | changes))


def test_labels_tell_the_whole_story(environment: Environment) -> None:
    assert made(environment, metrics={"b": 1, "accuracy": 0.98}, further={"team": "vision"}) == {
        "io.ml-containerize.environment.key": "e" * 64,
        "io.ml-containerize.metrics": '{"accuracy":0.98,"b":1}',
        "io.ml-containerize.model.format": "keras",
        "io.ml-containerize.model.hash": "c" * 64,
        "io.ml-containerize.model.name": "digits",
        "org.opencontainers.image.base.digest": f"sha256:{'b' * 64}",
        "org.opencontainers.image.base.name": "docker.io/library/python:3.12",
        "org.opencontainers.image.created": "2026-01-01T00:00:00Z",
        "org.opencontainers.image.revision": "a" * 40,
        "org.opencontainers.image.source": "https://github.com/org/models",
        "org.opencontainers.image.title": "digits",
        "org.opencontainers.image.version": "sha-a-model-c",
        "team": "vision",
    }


def test_the_same_commit_gives_the_same_labels_on_any_branch_or_tag(environment: Environment) -> None:
    released = replace(SOURCE, branch="", tag="v1.2.3")
    assert made(environment) == made(environment, released)


def test_what_is_not_known_is_left_out(environment: Environment) -> None:
    told = made(environment, Source())
    assert "org.opencontainers.image.revision" not in told
    assert "io.ml-containerize.metrics" not in told
    assert "" not in told.values()


def test_a_layouts_folder_on_this_machine_is_not_told(environment: Environment, base: BaseReference) -> None:
    local = replace(environment, base=replace(base, name="/home/ada/base"))
    assert "ada" not in str(made(local))


def test_the_users_labels_may_replace_descriptions(environment: Environment) -> None:
    told = made(environment, further={"org.opencontainers.image.title": "Digits"})
    assert told["org.opencontainers.image.title"] == "Digits"


def test_created_is_the_sources_time() -> None:
    assert created(SOURCE) == "2026-01-01T00:00:00Z"
    assert created(Source()) == "1970-01-01T00:00:00Z"


def test_metrics_are_optional_and_travel_whole(project: Path) -> None:
    assert read_metrics(project) is None
    (project / "metrics.json").write_text(json.dumps({"accuracy": 0.98}))
    assert read_metrics(project) == {"accuracy": 0.98}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("[1]", "is not a JSON object"),
        ("{", "is not JSON"),
        ('{"loss": NaN}', "NaN is no JSON number"),
        (json.dumps({"x": "y" * 4096}), "is too large for a label: 4.0 KiB"),
        ("[" * 100_000, "is not JSON"),
        ("", "is not JSON"),
    ],
)
def test_metrics_that_cannot_travel_are_told(project: Path, content: str, why: str) -> None:
    (project / "metrics.json").write_text(content)
    with pytest.raises(BadMetrics, match=why) as caught:
        read_metrics(project)
    assert caught.value.exit_code == 3
