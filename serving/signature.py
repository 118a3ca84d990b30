"""What a model takes and gives: named tensors with a data type and a shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Shape = tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One tensor; the first dimension counts rows, None is a free dimension, shape None a free rank."""

    name: str
    dtype: str  # NumPy's name, "bfloat16", "string" or "json"
    shape: Shape | None

    @property
    def row_shape(self) -> Shape | None:
        """The shape of one row, or None where the rank is free."""
        return None if self.shape is None else self.shape[1:]

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "dtype": self.dtype,
            "shape": None if self.shape is None else list(self.shape),
        }


@dataclass(frozen=True, slots=True)
class Signature:
    """The model's inputs and outputs, each at least one."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "inputs": [spec.as_json() for spec in self.inputs],
            "outputs": [spec.as_json() for spec in self.outputs],
        }
