"""TensorFlow's SavedModel: a folder with a graph, variables and named signatures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from serving.errors import ModelUnusable
from serving.runtimes.traced import TracedModel, tensor_spec
from serving.signature import Signature

DEFAULT_SIGNATURE = "serving_default"


def load(path: Path) -> TracedModel:
    """Serve the signature `serving_default`, or the only one there is."""
    loaded = tf.saved_model.load(str(path))
    function = _signature(loaded.signatures)
    inputs = tuple(tensor_spec(name, spec) for name, spec in function.structured_input_signature[1].items())
    outputs = tuple(tensor_spec(name, spec) for name, spec in sorted(function.structured_outputs.items()))
    if not inputs:
        raise ModelUnusable("the signature takes no inputs")

    def call(tensors: Sequence[Any]) -> Sequence[Any]:
        answer = function(**dict(zip((spec.name for spec in inputs), tensors, strict=True)))
        return [answer[spec.name] for spec in outputs]

    return TracedModel(Signature(inputs, outputs), call, owner=loaded)


def _signature(signatures: Any) -> Any:
    if DEFAULT_SIGNATURE in signatures:
        return signatures[DEFAULT_SIGNATURE]
    if len(signatures) == 1:
        return next(iter(signatures.values()))
    names = ", ".join(sorted(signatures)) or "none"
    raise ModelUnusable(f"no signature {DEFAULT_SIGNATURE!r} in the SavedModel, there are: {names}")
