"""Keras on JAX: the model's call compiled by XLA, once for each power of two of rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from serving.runtimes import DEFAULT_SIGNATURE
from serving.runtimes.keras_file import KerasModel
from serving.runtimes.keras_specs import signature_of
from serving.signature import Signature
from serving.tensors import Tensor

_WIDE = {"int64", "uint64", "float64"}  # JAX computes with half of them unless told otherwise


def serve(loaded: KerasModel) -> JaxModel:
    """Serve on JAX's first device."""
    return JaxModel(signature_of(loaded), loaded)


class JaxModel:
    """Adds rows up to the next power of two, so that only few shapes have to be compiled."""

    def __init__(self, signature: Signature, loaded: KerasModel) -> None:
        self.signatures = {DEFAULT_SIGNATURE: signature}
        device = jax.devices()[0]
        self.device = "cpu" if device.platform == "cpu" else str(device.device_kind)
        self._inputs = {spec.name: jax.numpy.dtype(spec.dtype) for spec in signature.inputs}
        self._outputs = {spec.name: jax.numpy.dtype(spec.dtype) for spec in signature.outputs}
        self._pads = all(spec.shape and spec.shape[0] is None for spec in signature.inputs)
        self._wide = any(spec.dtype in _WIDE for spec in (*signature.inputs, *signature.outputs))
        self._weights = _weights(loaded.model)
        self._call = _compiled(loaded)

    def predict(self, batch: Mapping[str, Tensor], signature: str = "") -> dict[str, Tensor]:
        self.signatures[signature or DEFAULT_SIGNATURE]
        rows = len(next(iter(batch.values())))
        more = (1 << (rows - 1).bit_length()) - rows if self._pads else 0
        arrays = [_with_rows(np.asarray(batch[name], dtype), more) for name, dtype in self._inputs.items()]
        with jax.enable_x64(self._wide):
            results = jax.device_get(self._call(self._weights, arrays))
        outputs = zip(self._outputs.items(), results, strict=True)
        return {name: np.asarray(result, dtype)[:rows] for (name, dtype), result in outputs}


def _weights(model: Any) -> tuple[list[Any], list[Any]]:
    return [each.value for each in model.trainable_variables], [
        each.value for each in model.non_trainable_variables
    ]


def _compiled(loaded: KerasModel) -> Any:
    """https://keras.io/guides/writing_a_custom_training_loop_in_jax/ has stateless_call under jit."""

    def call(weights: tuple[list[Any], list[Any]], tensors: list[Any]) -> list[Any]:
        results, _ = loaded.model.stateless_call(*weights, loaded.pack(tensors), training=False)
        return loaded.flatten(results)

    return jax.jit(call)


def _with_rows(array: Tensor, more: int) -> Tensor:
    """The array with its last row repeated, so that no value appears that nobody sent."""
    return np.concatenate([array, np.repeat(array[-1:], more, axis=0)]) if more else array
