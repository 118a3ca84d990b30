"""Small model projects."""

from __future__ import annotations

from pathlib import Path

import pytest
from doubles.models import keras_bytes

from ml_containerize.names import BaseReference, Digest


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one Keras model and nothing else."""
    folder = tmp_path / "digits"
    folder.mkdir()
    (folder / "model.keras").write_bytes(keras_bytes())
    return folder


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A project without anything in it."""
    folder = tmp_path / "empty"
    folder.mkdir()
    return folder


@pytest.fixture
def base() -> BaseReference:
    return BaseReference(
        "docker.io/library/python:3.12", Digest("b" * 64), "docker.io/library/python@sha256:…"
    )
