"""What the tests of the builder start from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import StringIO
from pathlib import Path

import pytest
from doubles.builds import GLIBC, Runs, make_files
from doubles.images import LINUX, write_image
from doubles.registry_fixtures import double, make_double

from ml_containerize.build.base import BasePython
from ml_containerize.console import Console
from ml_containerize.names import BaseReference, EnvironmentKey, GitSha
from ml_containerize.oci.credentials import Credentials
from ml_containerize.oci.registry import Connect, connector
from ml_containerize.plan.decide import Plan
from ml_containerize.plan.environment.environment import Environment
from ml_containerize.plan.git.source import Source
from ml_containerize.plan.model.files import list_files
from ml_containerize.plan.model.hashing import hash_model
from ml_containerize.plan.settings.settings import load_settings

__all__ = ["double", "make_double"]

MakePlan = Callable[..., Plan]


@pytest.fixture
def python() -> BasePython:
    return BasePython("3.12", "/usr/local/bin/python3.12", "x86_64", (2, 36))


@pytest.fixture
def console() -> Console:
    return Console(StringIO())


@pytest.fixture
def connect() -> Connect:
    """Clients that do not wait before they try again."""
    return connector(Credentials({}), sleep=lambda _: None)


@pytest.fixture
def runs() -> Runs:
    return Runs()


@pytest.fixture
def make_plan(tmp_path: Path) -> MakePlan:
    """A plan for a model of some files, over a base image in a layout: `make_plan({"model.keras": b"…"})`."""
    root = {"usr/bin/python3.12": b"", "lib/x86_64-linux-gnu/libc.so.6": GLIBC}
    base = write_image(tmp_path / "base", root, name="base:1")

    def make(
        files: Mapping[str, bytes] | None = None, *, images: str = "", push: bool = False, key: str = "3"
    ) -> Plan:
        project = tmp_path / "digits"
        make_files(project / "model", files or {"model.keras": b"weights"})
        flags = {
            "images": images,
            "push": push,
            "output": str(tmp_path / "output"),
            "cache-dir": str(tmp_path / "cache"),
        }
        settings = load_settings(project, flags, {})
        settings.output.mkdir(exist_ok=True)
        root = project / "model"
        found = list_files(root, project)
        model = hash_model(root, "saved_model", found, lambda _: None)
        reference = BaseReference("base:1", base.digest, str(tmp_path / "base"))
        environment = Environment(
            project / "requirements.lock", (), reference, project, LINUX, EnvironmentKey(key * 64)
        )
        return Plan(
            settings=settings,
            name="digits",
            model=model,
            environment=environment,
            source=Source(sha=GitSha("5" * 40)),
            identity=f"sha-{'5' * 12}-model-{model.hash.short}",
            tags=(),
            created="2026-01-01T00:00:00Z",
            labels={"io.ml-containerize.model.hash": str(model.hash)},
            cases=(),
        )

    return make
