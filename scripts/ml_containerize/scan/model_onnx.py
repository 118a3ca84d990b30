"""An ONNX model: operators of others, whose code is a library, and weights in other places."""

from __future__ import annotations

from collections.abc import Iterator

from ml_containerize.plan.model.model import ModelFile
from ml_containerize.plan.model.onnx import external_locations, leads_out, parts
from ml_containerize.plan.model.protobuf import Message, NotProtobuf
from ml_containerize.scan.danger import Danger, unreadable

# What ONNX Runtime brings: https://onnxruntime.ai/docs/reference/operators/
_BUILT_IN = {
    *("", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview", "ai.onnx.preview.training"),
    *("com.microsoft", "com.microsoft.nchwc", "com.ms.internal.nhwc", "org.pytorch.aten"),
}
_NODE_TYPE, _NODE_DOMAIN = 4, 7  # of NodeProto
_FUNCTION_NAME, _FUNCTION_DOMAIN = 1, 10  # of FunctionProto


def onnx_dangers(file: ModelFile) -> Iterator[Danger]:
    """The weights beside the model are data, and hold nothing to look for."""
    if file.path.suffix != ".onnx":
        return
    try:
        with file.source.open("rb") as stream:
            yield from _in_model(Message.whole(stream))
    except NotProtobuf as error:
        yield unreadable(f"it cannot be read as an ONNX model: {error}")


def _in_model(model: Message) -> Iterator[Danger]:
    used: set[tuple[str, str]] = set()
    defined: set[tuple[str, str]] = set()
    for kind, part in parts(model):
        if kind == "node" and (domain := part.text(_NODE_DOMAIN)) not in _BUILT_IN:
            used.add((domain, part.text(_NODE_TYPE)))
        elif kind == "function":
            defined.add((part.text(_FUNCTION_DOMAIN), part.text(_FUNCTION_NAME)))
        elif kind == "tensor":
            yield from (_outside(place) for place in external_locations(part) if leads_out(place))
    for domain, operator in sorted(used - defined):
        what = f"it uses the operator {operator} of {domain}, whose code is not ONNX Runtime's"
        yield Danger("MLC-ONNX-OPERATOR", "HIGH", what)


def _outside(place: str) -> Danger:
    return Danger("MLC-ONNX-FILE", "CRITICAL", f"it reads weights from {place}, outside of the model")
