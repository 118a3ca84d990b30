"""Keras models in one file: `.keras`, and `.h5` as older releases wrote it.

Keras 3 computes with TensorFlow, JAX or PyTorch, as KERAS_BACKEND says; only that one has to be installed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import keras

from serving.errors import ModelUnusable
from serving.runtimes import Model

_BACKENDS = ("tensorflow", "jax", "torch")


@dataclass(frozen=True, slots=True)
class KerasModel:
    """A loaded model whose inputs and outputs are flat and named."""

    model: Any
    inputs: Mapping[str, Any]  # Keras's symbolic tensors
    outputs: Mapping[str, Any]
    in_dictionary: bool  # how the model takes its inputs

    def pack(self, tensors: Sequence[Any]) -> Any:
        """The structure that the model takes, of one tensor for each of `inputs`."""
        if self.in_dictionary:
            return dict(zip(self.inputs, tensors, strict=True))
        return keras.tree.pack_sequence_as(_structure(self.model, "input"), list(tensors))

    def flatten(self, results: Any) -> list[Any]:
        """One tensor for each of `outputs`, of the structure that the model answers."""
        if isinstance(results, dict):
            return [results[name] for name in self.outputs]
        flat: list[Any] = keras.tree.flatten(results)
        return flat


def load(path: Path) -> Model:
    """Load without running code from the file where the format can tell; raises ModelUnusable."""
    backend = keras.backend.backend()
    if backend not in _BACKENDS:
        raise ModelUnusable(f"KERAS_BACKEND is {backend!r}, expected {', '.join(_BACKENDS)}")
    model = keras.saving.load_model(path, compile=False, safe_mode=True)
    inputs, outputs = _structure(model, "input"), _structure(model, "output")
    named = KerasModel(model, _inputs(inputs), _outputs(outputs), isinstance(inputs, dict))
    served: Model = import_module(f"serving.runtimes.keras_{backend}").serve(named)
    return served


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


def _inputs(structure: Any) -> dict[str, Any]:
    if isinstance(structure, dict):
        return dict(structure)
    return {tensor.name: tensor for tensor in keras.tree.flatten(structure)}


def _outputs(structure: Any) -> dict[str, Any]:
    if isinstance(structure, dict):
        return dict(structure)
    tensors = keras.tree.flatten(structure)
    names = _distinct([tensor._keras_history.operation.name for tensor in tensors])
    return dict(zip(names, tensors, strict=True))


def _distinct(names: list[str]) -> list[str]:
    """Number names that occur more than once: a, a → a, a_1."""
    return [
        name if names.index(name) == at else f"{name}_{names[:at].count(name)}"
        for at, name in enumerate(names)
    ]
