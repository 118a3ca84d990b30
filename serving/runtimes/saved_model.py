"""TensorFlow's SavedModel: a folder with a graph, variables and named signatures."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from serving.errors import ModelUnusable
from serving.runtimes import DEFAULT_SIGNATURE
from serving.runtimes.traced import TracedFunction, TracedModel

log = logging.getLogger("serving")


def load(path: Path, default: str = "") -> TracedModel:
    """Serve every signature that takes an input; `default` names the first, else it is `serving_default`."""
    loaded = tf.saved_model.load(str(path))
    taking = {
        name: function
        for name, function in sorted(loaded.signatures.items())
        if function.structured_input_signature[1]
    }
    first = _default(taking, default)
    names = [first, *(name for name in taking if name != first)]
    return TracedModel({name: _traced(taking[name]) for name in names}, owner=loaded)


def _default(names: Iterable[str], wanted: str) -> str:
    known = list(names)
    if not known:
        raise ModelUnusable("the SavedModel has no signature that takes an input")
    if wanted and wanted not in known:
        raise ModelUnusable(f"no signature {wanted!r} in the SavedModel, there are: {', '.join(known)}")
    if wanted or DEFAULT_SIGNATURE in known:
        return wanted or DEFAULT_SIGNATURE
    if len(known) > 1:
        log.warning("no signature %r; %r is the default of %s", DEFAULT_SIGNATURE, known[0], known)
    return known[0]


def _traced(function: Any) -> TracedFunction:
    inputs = function.structured_input_signature[1]
    outputs = sorted(function.structured_outputs)

    def call(tensors: Sequence[Any]) -> Sequence[Any]:
        answer = function(**dict(zip(inputs, tensors, strict=True)))
        return [answer[name] for name in outputs]

    return TracedFunction(inputs, outputs, call)
