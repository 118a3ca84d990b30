from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from serving.runtimes import DEFAULT_SIGNATURE, Model, find, load
from serving.settings import prepare_frameworks
from serving.signature import Signature, TensorSpec
from serving.tensors import Tensor
from tests.serving.process import Start, starting

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def load_model() -> Callable[[Path], Model]:
    """Load a model as the server does, TensorFlow set up as there."""
    prepare_frameworks(os.environ, cpus=2)
    return lambda path: load(find(path))


@pytest.fixture(scope="session")
def digits_model(load_model: Callable[[Path], Model]) -> Model:
    return load_model(ROOT / "examples" / "digits")


PAIRS_DOUBLED = Signature(
    (TensorSpec("numbers", "float32", (None, 2)),), (TensorSpec("doubled", "float32", (None, 2)),)
)


@dataclass(slots=True)
class Doubler:
    """A model without a framework: answers twice its input, or raises what it is told to."""

    signatures: Mapping[str, Signature] = field(default_factory=lambda: {DEFAULT_SIGNATURE: PAIRS_DOUBLED})
    device: str = "cpu"
    error: Exception | None = None

    def predict(self, batch: Mapping[str, Tensor], signature: str = "") -> dict[str, Tensor]:
        if self.error is not None:
            raise self.error
        assert signature in ("", *self.signatures)
        return {"doubled": batch["numbers"] * 2}


@pytest.fixture
def doubler() -> Doubler:
    return Doubler()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with starting(tmp_path) as start:
        yield start
