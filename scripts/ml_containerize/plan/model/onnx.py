"""ONNX models, as far as they tell of files and operators beside themselves; nothing is loaded.

Field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from ml_containerize.plan.model.protobuf import Message, NotProtobuf
from ml_containerize.plan.model.unusable import CorruptModel, UnknownFormat

_IR_VERSION, _GRAPH = 1, 7  # of ModelProto
_EXTERNAL_DATA = 13  # of TensorProto: entries of a key (1) and a value (2)
_SPARSE = "sparse tensor"
_PARTS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: _SPARSE},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: _SPARSE, 23: _SPARSE},
    _SPARSE: {1: "tensor", 2: "tensor"},
    "tensor": {},
}


def check_onnx(path: Path, stream: BinaryIO) -> None:
    """Raises CorruptModel unless the file is one whole ModelProto."""
    try:
        numbers = {number for number, _ in Message.whole(stream).fields()}
    except NotProtobuf as error:
        raise CorruptModel(path, f"it cannot be read as an ONNX model ({error})") from error
    if not numbers >= {_IR_VERSION, _GRAPH}:
        raise CorruptModel(path, "an ONNX model has an IR version and a graph")


def check_external(model: Path, files: Path | None) -> None:
    """Raises where the weights beside the model are not all in the folder `files`.

    A path that leads out of the folder is no matter of completeness; the scan refuses it.
    """
    inside = [one for one in external_files(model) if not leads_out(one)]
    if inside and files is None:
        raise UnknownFormat(
            model,
            f"its weights lie beside it, in {inside[0]}",
            "Put the model and its weights into a folder of their own, and name that folder with `model:`.",
        )
    missing = [one for one in inside if files and not (files / one).is_file()]
    if missing:
        raise CorruptModel(model, f"its weights are missing: {', '.join(missing)}")


def external_files(path: Path) -> list[str]:
    """Where the model says that its weights lie, relative to itself; each once. Raises CorruptModel."""
    try:
        with path.open("rb") as stream:
            tensors = (one for kind, one in parts(Message.whole(stream)) if kind == "tensor")
            return sorted({location for tensor in tensors for location in external_locations(tensor)})
    except NotProtobuf as error:
        raise CorruptModel(path, f"it cannot be read as an ONNX model ({error})") from error


def external_locations(tensor: Message) -> Iterator[str]:
    """The files that hold a tensor's values: https://onnx.ai/onnx/repo-docs/ExternalData.html."""
    for entry in tensor.messages(_EXTERNAL_DATA):
        if entry.text(1) == "location":
            yield entry.text(2)


def leads_out(location: str) -> bool:
    """True where a path does not stay in the model's folder."""
    path = PurePosixPath(location.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or location[1:2] == ":"


def parts(model: Message) -> Iterator[tuple[str, Message]]:
    """Every graph, function, node, attribute and tensor, however deep, with its kind. Raises NotProtobuf."""
    waiting = [("model", model)]
    while waiting:
        kind, message = waiting.pop()
        yield kind, message
        inner = _PARTS[kind]
        waiting += [
            (inner[number], value)
            for number, value in message.fields()
            if number in inner and isinstance(value, Message)
        ]
