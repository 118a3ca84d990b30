"""A run's values, small but real: a layout with layers in it, a plan of it, reports about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest

from ml_containerize.names import (
    BaseReference,
    Digest,
    EnvironmentKey,
    GitSha,
    ModelHash,
    Platform,
    Repository,
)
from ml_containerize.oci import config as configuration
from ml_containerize.oci import media
from ml_containerize.oci.document import canonical
from ml_containerize.oci.image import Image, open_image
from ml_containerize.oci.layers import Entry, write_layer
from ml_containerize.oci.layout import Layout
from ml_containerize.oci.manifest import Manifest
from ml_containerize.plan.decide import Plan
from ml_containerize.plan.environment.environment import Environment
from ml_containerize.plan.git.source import Source
from ml_containerize.plan.model.model import FileIdentity, Model, ModelFile
from ml_containerize.plan.settings.settings import load_settings
from ml_containerize.report.record import Record, Result
from ml_containerize.results import (
    CaseResult,
    Decision,
    Finding,
    Outcome,
    Release,
    ScanReport,
    SmokeReport,
    StageTime,
)


@pytest.fixture
def image(tmp_path: Path) -> Image:
    layout = Layout.create(tmp_path / "layout")
    kinds = (("packages", "tensorflow-cpu 2.21.0"), ("model", "model.keras"))
    layers = [
        write_layer(
            layout,
            [Entry.bytes(f"opt/{kind}", kind.encode() * 500)],
            compression="none",
            created_by=kind,
            annotations={"io.ml-containerize.layer": kind, "org.opencontainers.image.title": title},
        )
        for kind, title in kinds
    ]
    bare = {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": []}}
    config = configuration.extend(bare, layers, created="2026-01-01T00:00:00Z", labels={"a": "b"})
    described = layout.write(canonical(config), media.CONFIG)
    manifest = Manifest(described, tuple(layer.descriptor for layer in layers))
    layout.set_image(layout.write(manifest.as_bytes(), media.MANIFEST), "digits")
    return open_image(layout)


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    project = tmp_path / "digits"
    project.mkdir()
    file = ModelFile(
        PurePosixPath("model.keras"),
        project / "model.keras",
        5,
        Digest("1" * 64),
        None,
        FileIdentity(0, 0, 5, 0),
    )
    platform = Platform.parse("linux/amd64")
    base = BaseReference("python:3.12-slim", Digest("2" * 64), "python:3.12-slim")
    environment = Environment(
        project / "requirements.lock", (), base, project, platform, EnvironmentKey("3" * 64)
    )
    return Plan(
        settings=load_settings(project, {"images": "localhost:5000/digits"}, {}),
        name="digits",
        model=Model(project / "model.keras", "keras", (file,), ModelHash("4" * 64)),
        environment=environment,
        source=Source(sha=GitSha("5" * 40), branch="main"),
        identity=f"sha-{'5' * 12}-model-{'4' * 12}",
        tags=("main",),
        created="2026-01-01T00:00:00Z",
        labels={},
        cases=(),
    )


@pytest.fixture
def record(plan: Plan, image: Image) -> Callable[..., Record]:
    """A released run, or what its arguments make of it."""
    repository = Repository.parse("localhost:5000/digits")
    release = Release(
        image=repository.at(image.digest),
        tags=(repository.tag(plan.identity), repository.tag("main")),
        uploaded_bytes=image.manifest.layers[1].size,
        uploaded=(image.manifest.layers[1].digest,),
    )
    usual = {
        "result": Result.RELEASED,
        "stages": (StageTime("plan", 0.25), StageTime("build", 12.5)),
        "plan": plan,
        "image": image,
        "smoke": SmokeReport(
            Outcome.PASSED,
            digest=image.digest,
            engine="docker 26.1.5",
            startup_seconds=3.25,
            latency_p50_ms=2.0,
            cases=(CaseResult("seven", True, 2.5, prediction="[0.1, 0.9]"),),
        ),
        "scan": ScanReport(
            Outcome.PASSED,
            digest=image.digest,
            scanner="trivy 0.74.0",
            counts={"HIGH": 1},
            ignored=(Finding("CVE-2024-1", "flask", "2.0", "", "HIGH", ignored_by="ignore-unfixed"),),
        ),
        "decision": Decision(True),
        "releases": (release,),
    }
    return lambda **changes: Record(**{**usual, **changes})  # type: ignore[arg-type]
