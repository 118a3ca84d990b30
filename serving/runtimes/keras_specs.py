"""What Keras itself says of a model's inputs and outputs; for the backends that trace no signature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from serving.errors import ModelUnusable
from serving.runtimes.keras_file import KerasModel
from serving.signature import Signature, TensorSpec


def signature_of(loaded: KerasModel) -> Signature:
    """The names, types and shapes that TensorFlow has, too; raises ModelUnusable for what only it has."""
    return Signature(_specs(loaded.inputs), _specs(loaded.outputs))


def _specs(tensors: Mapping[str, Any]) -> tuple[TensorSpec, ...]:
    return tuple(_spec(name, tensor) for name, tensor in tensors.items())


def _spec(name: str, tensor: Any) -> TensorSpec:
    if tensor.dtype == "string":
        raise ModelUnusable(
            f"the tensor {name!r} is text, which only Keras's TensorFlow backend computes with"
        )
    if not tensor.shape:
        raise ModelUnusable(f"the tensor {name!r} is a single value without a dimension for rows")
    return TensorSpec(name, tensor.dtype, tuple(tensor.shape))
