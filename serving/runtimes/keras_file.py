"""Keras models in one file: `.keras`, and `.h5` as older releases wrote it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from serving.errors import ModelUnusable
from serving.runtimes import DEFAULT_SIGNATURE
from serving.runtimes.traced import Traced, TracedModel, tensor_spec
from serving.signature import Signature


def load(path: Path) -> TracedModel:
    """Load without running code from the file where the format can tell, and trace the call once."""
    model = keras.saving.load_model(path, compile=False, safe_mode=True)
    names, pack = _inputs(model)
    traced = _trace(model, names, pack)
    inputs = tuple(tensor_spec(spec.name, spec) for spec in traced.structured_input_signature[0])
    outputs = tuple(
        tensor_spec(name, tensor)
        for name, tensor in zip(_output_names(model), traced.structured_outputs, strict=True)
    )
    function = Traced(Signature(inputs, outputs), lambda tensors: traced(*tensors))
    return TracedModel({DEFAULT_SIGNATURE: function}, owner=model)


def _inputs(model: Any) -> tuple[list[tuple[str, Any]], Any]:
    """Each input's name and symbolic tensor, and how to build the structure that the model takes."""
    structure = _structure(model, "input")
    if isinstance(structure, dict):
        return list(structure.items()), lambda tensors: dict(zip(structure, tensors, strict=True))
    tensors = keras.tree.flatten(structure)
    return (
        [(tensor.name, tensor) for tensor in tensors],
        lambda values: keras.tree.pack_sequence_as(structure, values),
    )


def _structure(model: Any, side: str) -> Any:
    """The model's input or output: one tensor, or a list or dictionary of them."""
    structure = getattr(model, side, None)
    if structure is not None:
        return structure
    try:
        (only,) = getattr(model, f"{side}s")  # a Sequential model has a list of one
    except (AttributeError, TypeError, ValueError):
        raise ModelUnusable("the model has no fixed inputs; export it as a SavedModel instead") from None
    return only


def _trace(model: Any, inputs: list[tuple[str, Any]], pack: Any) -> Any:
    specs = [tf.TensorSpec(tensor.shape, tensor.dtype, name) for name, tensor in inputs]

    @tf.function(input_signature=specs, autograph=False)  # type: ignore[untyped-decorator]
    def call(*tensors: Any) -> Sequence[Any]:
        outputs = model(pack(list(tensors)), training=False)
        flat: Sequence[Any] = (
            list(outputs.values()) if isinstance(outputs, dict) else keras.tree.flatten(outputs)
        )
        return flat

    return call.get_concrete_function()


def _output_names(model: Any) -> list[str]:
    structure = _structure(model, "output")
    if isinstance(structure, dict):
        return list(structure)
    return _distinct([tensor._keras_history.operation.name for tensor in keras.tree.flatten(structure)])


def _distinct(names: list[str]) -> list[str]:
    """Number names that occur more than once: a, a → a, a_1."""
    return [
        name if names.index(name) == at else f"{name}_{names[:at].count(name)}"
        for at, name in enumerate(names)
    ]
