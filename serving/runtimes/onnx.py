"""ONNX models, computed by ONNX Runtime; external data lies beside the model, as the file says."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from serving.errors import BadRequest, ModelUnusable
from serving.runtimes import DEFAULT_SIGNATURE
from serving.runtimes.threads import threads
from serving.signature import Shape, Signature, TensorSpec
from serving.tensors import Tensor

_PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")
_FATAL = 4  # a failing call raises; the log on stderr would say it again, and not as JSON

# ONNX Runtime's names for the element types, as `NodeArg.type` has them, and NumPy's.
_DTYPES = {
    "float": "float32",
    "double": "float64",
    **{name: name for name in ("float16", "bool", "string")},
    **{f"{sign}int{bits}": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}
_TENSOR = re.compile(r"tensor\((\w+)\)")
_MAPS = re.compile(r"seq\(map\(\w+,tensor\((\w+)\)\)\)")  # what ZipMap gives: one object for each row


class OnnxModel:
    """One session, which may run in several threads at once."""

    def __init__(self, session: Any) -> None:
        inputs = tuple(_input(node) for node in session.get_inputs())
        outputs = tuple(_output(node) for node in session.get_outputs())
        if not inputs:
            raise ModelUnusable("the ONNX model takes no inputs")
        self.signatures = {DEFAULT_SIGNATURE: Signature(inputs, outputs)}
        self.device = "cuda" if "CUDA" in session.get_providers()[0] else "cpu"
        self._session = session
        self._strings = [spec.name for spec in inputs if spec.dtype == "string"]
        self._outputs = {node.name: _reader(node.type) for node in session.get_outputs()}

    def predict(self, batch: Mapping[str, Tensor], signature: str = "") -> dict[str, Tensor]:  # noqa: ARG002
        feeds = {**batch, **{name: _decoded(batch[name], name) for name in self._strings}}
        answers = self._session.run(list(self._outputs), feeds)
        return {
            name: read(answer) for (name, read), answer in zip(self._outputs.items(), answers, strict=True)
        }


def load(path: Path) -> OnnxModel:
    """Open a session on the GPU where ONNX Runtime is built for one, else on the processor's threads.

    https://onnxruntime.ai/docs/performance/tune-performance/threading.html: threads that spin while they wait
    would take the processor from the server's other work.
    """
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads()
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = _FATAL
    available = onnxruntime.get_available_providers()
    providers = [name for name in _PROVIDERS if name in available]
    return OnnxModel(onnxruntime.InferenceSession(str(path), options, providers=providers))


def _input(node: Any) -> TensorSpec:
    spec = TensorSpec(node.name, _dtype(node, _TENSOR), _shape(node))
    if not spec.shape:
        raise ModelUnusable(f"the input {node.name!r} has no dimension for rows")
    return spec


def _output(node: Any) -> TensorSpec:
    if _MAPS.fullmatch(node.type):
        return TensorSpec(node.name, _dtype(node, _MAPS), (None, None))
    # A shape that the file leaves out looks like that of a single value; warming up tells them apart.
    return TensorSpec(node.name, _dtype(node, _TENSOR), _shape(node) or None)


def _dtype(node: Any, kind: re.Pattern[str]) -> str:
    found = kind.fullmatch(node.type)
    if found is None or found[1] not in _DTYPES:
        raise ModelUnusable(f"{node.name!r} is a {node.type}, which cannot be sent; only plain tensors can")
    return _DTYPES[found[1]]


def _shape(node: Any) -> Shape:
    """A named or unknown dimension is free."""
    return tuple(size if isinstance(size, int) else None for size in node.shape)


def _reader(kind: str) -> Callable[[Any], Tensor]:
    if _MAPS.fullmatch(kind):
        return _columns
    return _encoded if kind == "tensor(string)" else np.asarray


def _columns(rows: list[dict[Any, float]]) -> Tensor:
    """ZipMap's objects, {class: score}, as (rows, classes): the classes in the order of the objects' keys."""
    return np.array([list(row.values()) for row in rows], np.float32)


def _encoded(strings: Tensor) -> Tensor:
    flat = np.fromiter((text.encode("utf-8") for text in strings.flat), object, strings.size)
    return flat.reshape(strings.shape)


def _decoded(strings: Tensor, name: str) -> Tensor:
    """ONNX Runtime's Python API takes str; raises BadRequest where the bytes are not UTF-8."""
    try:
        flat = np.fromiter((text.decode("utf-8") for text in strings.flat), object, strings.size)
    except UnicodeDecodeError as error:
        raise BadRequest("has bytes that are not UTF-8, and the model takes text", name) from error
    return flat.reshape(strings.shape)
