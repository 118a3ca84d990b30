"""Keras on TensorFlow: the model's call as one traced graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from serving.runtimes import DEFAULT_SIGNATURE
from serving.runtimes.keras_file import KerasModel
from serving.runtimes.traced import TracedFunction, TracedModel


def serve(loaded: KerasModel) -> TracedModel:
    """Trace the call once, for any number of rows."""

    def call(tensors: Sequence[Any]) -> Sequence[Any]:
        return loaded.flatten(loaded.model(loaded.pack(tensors), training=False))

    inputs = {name: tf.TensorSpec(tensor.shape, tensor.dtype) for name, tensor in loaded.inputs.items()}
    function = TracedFunction(inputs, list(loaded.outputs), call)
    return TracedModel({DEFAULT_SIGNATURE: function}, owner=loaded.model)
