"""Keras's description of a model as JSON: which parts of it run code when the model is loaded or called.

Format: https://github.com/keras-team/keras, `keras/src/saving/serialization_lib.py`, and for Keras 2
`keras/src/legacy/saving/serialization.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from ml_containerize.scan.danger import Danger

# The packages that Keras itself imports classes from without the caller's consent, Keras 2's name, and the
# module of Python's own types, which it only looks up by name.
_TRUSTED = frozenset({"keras", "keras_hub", "keras_cv", "keras_nlp", "tf_keras", "builtins"})
_UNSAFE_FUNCTIONS = frozenset({"enable_unsafe_deserialization", "get_file"})


def parse_config(body: bytes) -> object:
    """Read the JSON text that `body` begins with; raises ValueError, also where it is nested too deeply."""
    try:
        return json.JSONDecoder().raw_decode(body.decode("utf-8", "replace"))[0]
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def dangers_in(config: object) -> Iterator[Danger]:
    """Every danger in a description, wherever it is nested."""
    waiting = [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield from _of_object(value)
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, str) and value.rpartition(".")[2] in _UNSAFE_FUNCTIONS:
            yield Danger("MLC-KERAS-UNSAFE", "CRITICAL", f"it names {value}, which undoes Keras's safe mode")


def _of_object(value: dict[str, object]) -> Iterator[Danger]:
    kind, module = value.get("class_name"), value.get("module")
    name = _name(value)
    if kind in {"Lambda", "__lambda__"}:
        yield Danger("MLC-KERAS-LAMBDA", "CRITICAL", f"{name} is a Lambda layer: Python code in the model")
    if kind == "TorchModuleWrapper":
        yield Danger("MLC-KERAS-PICKLE", "CRITICAL", f"{name} is a PyTorch module, unpickled when loaded")
    if kind == "TFSMLayer":
        yield Danger("MLC-KERAS-FILE", "HIGH", f"{name} is a TFSMLayer: it loads another model from a path")
    if isinstance(module, str) and isinstance(kind, str) and module.partition(".")[0] not in _TRUSTED:
        yield Danger("MLC-KERAS-IMPORT", "HIGH", f"it imports {module}.{kind}, which is not part of Keras")
    if isinstance(value.get("vocabulary"), str):
        yield Danger("MLC-KERAS-FILE", "HIGH", f"{name} reads its vocabulary from {value['vocabulary']}")


def _name(value: dict[str, object]) -> str:
    """What the layer is called, for people."""
    config = value.get("config")
    name = config.get("name") if isinstance(config, dict) else value.get("name")
    return repr(name) if isinstance(name, str) else "a layer"
