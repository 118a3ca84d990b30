"""A planned and built image, small but real, and registries that fail as told to push it to."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from doubles.images import add_environment, write_image
from doubles.registry_double import RegistryDouble
from doubles.registry_fixtures import double, make_double, waits

from ml_containerize.console import Console
from ml_containerize.names import (
    BaseReference,
    Digest,
    EnvironmentKey,
    GitSha,
    ModelHash,
    Platform,
    Repository,
)
from ml_containerize.oci.credentials import Credentials
from ml_containerize.oci.image import Image, open_image
from ml_containerize.oci.registry import Connect, connector
from ml_containerize.plan.decide import Plan
from ml_containerize.plan.environment.environment import Environment
from ml_containerize.plan.git.source import Source
from ml_containerize.plan.model.model import FileIdentity, Model, ModelFile
from ml_containerize.plan.settings.settings import load_settings
from ml_containerize.push.proof import Proof
from ml_containerize.push.publish import push
from ml_containerize.results import Decision, Release

__all__ = ["double", "make_double", "waits"]

KEY = EnvironmentKey("3" * 64)
IDENTITY = f"sha-{'5' * 12}-model-{'4' * 12}"
PROOF = Proof("policy", "2026-01-01T00:00:00Z", {"outcome": "passed"}, {"outcome": "passed"})
MODEL = bytes(range(256)) * (24 << 10)  # 6 MiB: beyond what goes in one PUT

MakePlan = Callable[..., Plan]
MakeImage = Callable[..., Image]
Push = Callable[..., tuple[Release, ...]]


@pytest.fixture
def make_plan(tmp_path: Path) -> MakePlan:
    """A plan to push to these repositories: `make_plan("localhost:5000/org/digits")`."""

    def make(*images: str, tags: tuple[str, ...] = ("main",), existing: str = "refuse") -> Plan:
        project = tmp_path / "digits"
        project.mkdir(exist_ok=True)
        source = project / "model.keras"
        file = ModelFile(
            PurePosixPath("model.keras"), source, 5, Digest("1" * 64), None, FileIdentity(0, 0, 5, 0)
        )
        base = BaseReference("python:3.12-slim", Digest("2" * 64), "python:3.12-slim")
        environment = Environment(project / "lock", (), base, project, Platform.parse("linux/amd64"), KEY)
        settings = load_settings(project, {"existing": existing}, {})
        return Plan(
            settings=replace(settings, images=tuple(map(Repository.parse, images))),
            name="digits",
            model=Model(source, "keras", (file,), ModelHash("4" * 64)),
            environment=environment,
            source=Source(sha=GitSha("5" * 40), branch="main"),
            identity=IDENTITY,
            tags=tags,
            created="2026-01-01T00:00:00Z",
            labels={},
            cases=(),
        )

    return make


@pytest.fixture
def make_image(tmp_path: Path) -> MakeImage:
    """An image of four layers with its environment beside it; each part can be another."""

    def make(
        base: bytes = b"base",
        packages: bytes = b"packages",
        serving: bytes = b"serving",
        model: bytes = MODEL,
        **labels: str,
    ) -> Image:
        made = write_image(
            tmp_path / f"layout-{Digest.of(repr((base, packages, serving, labels)).encode()).hex[:8]}",
            {"bin/sh": base},
            {"opt/venv/x": packages},
            {"opt/serving/x": serving},
            {"opt/ml/model/model.keras": model},
            kinds=("", "packages", "serving", "model"),
            labels={"org.opencontainers.image.base.digest": str(Digest.of(base)), **labels},
        )
        add_environment(made, KEY, 3)
        return open_image(made.content.layout)

    return make


@pytest.fixture
def image(make_image: MakeImage) -> Image:
    return make_image()


@pytest.fixture
def connect(waits: list[float]) -> Connect:
    return connector(Credentials(), sleep=waits.append)


@pytest.fixture
def log() -> io.StringIO:
    """What people saw."""
    return io.StringIO()


@pytest.fixture
def pushed(
    make_plan: MakePlan, image: Image, double: RegistryDouble, waits: list[float], log: io.StringIO
) -> Push:
    """Push the image to the double, or what the arguments make of it."""

    def run(**changes: object) -> tuple[Release, ...]:
        usual = {
            "plan": make_plan(f"{double.host}/org/digits"),
            "image": image,
            "decision": Decision(accepted=True),
            "proof": PROOF,
            "connect": connector(Credentials(), sleep=waits.append),
            "console": Console(log),
        }
        given = {**usual, **changes}
        return push(given.pop("plan"), given.pop("image"), given.pop("decision"), **given)  # type: ignore[arg-type]

    return run
