"""Small images and plans to scan, and a program that stands in for trivy."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Literal

import pytest

from ml_containerize.console import Console
from ml_containerize.names import BaseReference, Digest, EnvironmentKey, ModelHash, Platform
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
from ml_containerize.plan.model.model import FileIdentity, Format, Model, ModelFile
from ml_containerize.plan.settings.settings import load_settings

MakeImage = Callable[..., Image]
MakeModel = Callable[..., Model]
MakePlan = Callable[..., Plan]
MakeDatabase = Callable[..., Path]


@pytest.fixture
def console() -> Console:
    return Console(stream=io.StringIO())


@pytest.fixture
def make_image(tmp_path: Path) -> MakeImage:
    """An image in a layout, one layer for each mapping of paths to content."""

    def make(*layers: Mapping[str, str], compression: Literal["none", "zstd"] = "none") -> Image:
        layout = Layout.create(tmp_path / "layout")
        written = [
            write_layer(
                layout,
                [Entry.bytes(path, content.encode()) for path, content in files.items()],
                compression=compression,
                created_by="a test",
            )
            for files in layers
        ]
        bare = {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": []}}
        config = configuration.extend(bare, written, created="2026-01-01T00:00:00Z")
        described = layout.write(canonical(config), media.CONFIG)
        manifest = Manifest(described, tuple(layer.descriptor for layer in written))
        layout.set_image(layout.write(manifest.as_bytes(), media.MANIFEST), "digits")
        return open_image(layout)

    return make


@pytest.fixture
def make_model(tmp_path: Path) -> MakeModel:
    """A model of files with this content, as the plan would describe it."""

    def make(kind: Format, files: Mapping[str, bytes], size: int | None = None) -> Model:
        return Model(
            tmp_path / "model",
            kind,
            tuple(model_file(name, content, size) for name, content in files.items()),
            ModelHash("4" * 64),
        )

    def model_file(name: str, content: bytes, size: int | None) -> ModelFile:
        source = tmp_path / "model" / name
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_bytes(content)
        bytes_ = len(content) if size is None else size
        identity = FileIdentity(0, 0, bytes_, 0)
        return ModelFile(PurePosixPath(name), source, bytes_, Digest.of(content), None, identity)

    return make


@pytest.fixture
def make_plan(tmp_path: Path, make_model: MakeModel) -> MakePlan:
    """A plan with these options, over a SavedModel that does nothing unless another model is given."""

    def make(model: Model | None = None, **options: object) -> Plan:
        project = tmp_path / "digits"
        project.mkdir(exist_ok=True)
        flags = {name.replace("_", "-"): value for name, value in options.items()}
        places = {"output": str(tmp_path / "output"), "cache-dir": str(tmp_path / "cache")}
        base = BaseReference("python:3.12-slim", Digest("2" * 64), "python:3.12-slim")
        platform = Platform.parse("linux/amd64")
        environment = Environment(project / "lock", (), base, project, platform, EnvironmentKey("3" * 64))
        return Plan(
            settings=load_settings(project, {**places, **flags}, {}),
            name="digits",
            model=model or make_model("saved_model", {"saved_model.pb": b"graph"}),
            environment=environment,
            source=Source(),
            identity="sha-1-model-4",
            tags=(),
            created="2026-01-01T00:00:00Z",
            labels={},
            cases=(),
        )

    return make


@pytest.fixture
def make_database(tmp_path: Path) -> MakeDatabase:
    """Trivy's cache folder with a database whose metadata says this; nothing reads the database itself."""

    def make(updated: str, next_update: str, **more: object) -> Path:
        folder = tmp_path / "cache" / "trivy" / "db"
        folder.mkdir(parents=True, exist_ok=True)
        facts = {"Version": 2, "UpdatedAt": updated, "NextUpdate": next_update, **more}
        (folder / "metadata.json").write_text(json.dumps(facts))
        (folder / "trivy.db").write_bytes(b"bbolt")
        return folder

    return make
