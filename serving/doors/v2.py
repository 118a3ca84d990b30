"""The Open Inference Protocol, KServe's V2, with Triton's binary tensor data extension.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md

A tensor that comes in a smaller type than the model's is widened where no value can change; any other type is
refused. The parameter "signature_name" of a request picks one of the model's signatures.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import orjson

from serving.answers import json_answer
from serving.doors import Outputs, Task, binary
from serving.doors.media import BYTES as RAW_BYTES
from serving.doors.media import check_json
from serving.doors.rows import signature_named
from serving.errors import BadRequest, NotRepresentable
from serving.http import Answer, Request
from serving.inputs import Batch, Document, check_agreement, element_of, members, read_json
from serving.outputs import written
from serving.runtimes import default_signature
from serving.served import Served
from serving.signature import Signature, TensorSpec
from serving.tensors import MAX_RANK, Tensor, json_name, numpy_dtype, objects, tensor

HEADER_LENGTH = "inference-header-content-length"
SERVER = "ml-containerize"
HINTS = frozenset({"content_type", "priority", "timeout"})  # no answer depends on them
_REQUEST = ("id", "model_name", "model_version", "parameters", "inputs", "outputs")
_INPUT = ("name", "shape", "datatype", "parameters", "data")


@dataclass(frozen=True, slots=True)
class _Wanted:
    """An output that a request asks for."""

    name: str
    binary: bool


@dataclass(frozen=True, slots=True)
class _Reply:
    """What of an answer is known before the model is asked."""

    head: Mapping[str, str]
    signature: Signature
    outputs: Sequence[_Wanted]


def infer(served: Served, request: Request) -> Task:
    """Tensors as JSON or behind it as bytes; each output is answered as the request asks for it."""
    check_json(request, RAW_BYTES)
    length = _header_length(request)
    cursor = binary.Cursor(request.body, length)
    head = request.body if length == len(request.body) else request.body[:length]
    return read_json(head, lambda document: _task(served, document, cursor))


def _header_length(request: Request) -> int:
    written = request.headers.get(HEADER_LENGTH)
    if written is None:
        return len(request.body)
    if not (written.isascii() and written.isdigit()):
        raise BadRequest(f"is {written[:40]!r}, expected a number of bytes", HEADER_LENGTH)
    if len(written) > 20 or int(written) > len(request.body):
        raise BadRequest(f"is more than the {len(request.body)} bytes of the body", HEADER_LENGTH)
    return int(written)


def _task(served: Served, document: Document, cursor: binary.Cursor) -> Task:
    body = members(document.value, _REQUEST)
    head = _head(served, body)
    parameters = _parameters(body, "parameters", ("signature_name", "binary_data_output"))
    chosen = parameters.get("signature_name", "")
    name, signature = signature_named(served, chosen, "parameters.signature_name")
    batch = _batch(body.get("inputs"), signature, served.max_rows, cursor, plain=document.plain)
    if cursor.offset != len(cursor.body):
        left = len(cursor.body) - cursor.offset
        raise BadRequest(f"{left} bytes of the body belong to no input", "inputs")
    by_default = _flag(parameters, "binary_data_output", "parameters")
    reply = _Reply(head, signature, _wanted(body.get("outputs"), signature, by_default))
    return Task(name, batch, len(next(iter(batch.values()))), partial(_write, reply))


def _head(served: Served, body: Mapping[str, Any]) -> dict[str, str]:
    """The members of the answer beside its outputs; BadRequest where the request names another model."""
    head = {"model_name": served.name, "model_version": served.version}
    for key in (*head, "id"):
        value = body.get(key)
        if value is None:
            continue
        if type(value) is not str:
            raise BadRequest(f"is {json_name(value)}, expected a string", key)
        if head.setdefault(key, value) != value:
            raise BadRequest(f"is {value!r}, but the path asks for {head[key]!r}", key)
    return head


def _parameters(owner: Mapping[str, Any], field: str, known: Sequence[str]) -> dict[str, Any]:
    value = owner.get("parameters")
    if type(value) is dict:
        value = {name: each for name, each in value.items() if name not in HINTS}
    return {} if value is None else members(value, known, field)


def _flag(parameters: Mapping[str, Any], name: str, field: str, default: bool = False) -> bool:
    value = parameters.get(name, default)
    if type(value) is not bool:
        raise BadRequest(f"is {json_name(value)}, expected true or false", f"{field}.{name}")
    return value


def _batch(values: Any, signature: Signature, max_rows: int, cursor: binary.Cursor, *, plain: bool) -> Batch:
    """One array per input, in the signature's order."""
    specs = {spec.name: spec for spec in signature.inputs}
    found: dict[str, tuple[str, Tensor]] = {}
    for field, value, name in _named(values, "inputs", specs, _INPUT):
        found[name] = field, _input(value, specs[name], max_rows, cursor, field, plain=plain)
    if missing := [name for name in specs if name not in found]:
        raise BadRequest(f"lacks the input {missing[0]!r}", "inputs")
    check_agreement({f"{field}.shape": len(array) for field, array in found.values()})
    return {name: found[name][1] for name in specs}


def _named(
    values: Any, key: str, known: Mapping[str, TensorSpec], keys: Sequence[str]
) -> list[tuple[str, dict[str, Any], str]]:
    """Field, members and name of each element of a list of tensors, whose names are known and occur once."""
    if type(values) is not list:
        raise BadRequest(f"is {json_name(values)}, expected a list", key)
    found: dict[str, tuple[str, dict[str, Any], str]] = {}
    for index, value in enumerate(values):
        field = f"{key}[{index}]"
        name = members(value, keys, field).get("name")
        if type(name) is not str:
            raise BadRequest(f"is {json_name(name)}, expected a string", f"{field}.name")
        if name not in known:
            raise BadRequest(
                f"unknown {key[:-1]} {name!r}, the model has {', '.join(known)}", f"{field}.name"
            )
        if name in found:
            raise BadRequest(f"{name!r} occurs twice", f"{field}.name")
        found[name] = field, value, name
    return list(found.values())


def _input(
    value: Mapping[str, Any],
    spec: TensorSpec,
    max_rows: int,
    cursor: binary.Cursor,
    field: str,
    *,
    plain: bool,
) -> Tensor:
    datatype = _datatype(value.get("datatype"), spec, f"{field}.datatype")
    shape = _shape(value.get("shape"), spec, max_rows, f"{field}.shape")
    size = _parameters(value, f"{field}.parameters", ("binary_data_size",)).get("binary_data_size")
    if size is None:
        array = _from_json(value.get("data"), datatype, shape, f"{field}.data", plain=plain)
    elif "data" in value:
        raise BadRequest("comes along with binary_data_size, send one", f"{field}.data")
    elif type(size) is not int or size < 0:
        raise BadRequest("is no number of bytes", f"{field}.parameters.binary_data_size")
    else:
        array = binary.read(cursor, datatype, shape, size, f"{field}.parameters.binary_data_size")
    if spec.dtype == "json":
        return _values(array, f"{field}.data")
    return array.astype(numpy_dtype(spec.dtype), copy=False)


def _datatype(sent: Any, spec: TensorSpec, field: str) -> str:
    """The datatype that a tensor comes in; BadRequest where not every value fits the model's."""
    own = binary.datatype(spec.dtype)
    if type(sent) is not str:
        raise BadRequest(f"is {json_name(sent)}, expected {own!r}", field)
    if sent != own and (sent, own) not in binary.WIDENED:
        raise BadRequest(f"is {sent[:40]!r}, expected {own!r}", field)
    return sent


def _shape(sent: Any, spec: TensorSpec, max_rows: int, field: str) -> tuple[int, ...]:
    """The shape of all rows; BadRequest where the model does not take it."""
    if type(sent) is not list or not all(type(size) is int and size >= 0 for size in sent):
        raise BadRequest("expected a list of sizes, whole numbers from 0", field)
    if not 1 <= len(sent) <= MAX_RANK or (spec.shape is not None and len(sent) != len(spec.shape)):
        wanted = f"{len(spec.shape)}" if spec.shape is not None else f"1 to {MAX_RANK}"
        raise BadRequest(f"has {len(sent)} sizes, expected {wanted}", field)
    for index, (size, own) in enumerate(zip(sent, spec.shape or (None,) * len(sent), strict=True)):
        if size == 0:
            raise BadRequest("is 0: there is nothing in the tensor", f"{field}[{index}]")
        if own not in (None, size):
            raise BadRequest(f"is {size}, expected {own}", f"{field}[{index}]")
    if sent[0] > max_rows:
        raise BadRequest(f"is {sent[0]}, at most {max_rows} rows are answered at once", f"{field}[0]")
    return tuple(sent)


def _from_json(data: Any, datatype: str, shape: tuple[int, ...], field: str, *, plain: bool) -> Tensor:
    """Elements nested as the shape says, or all in one list."""
    if type(data) is not list:
        said = "is missing" if data is None else f"is {json_name(data)}, expected a list"
        raise BadRequest(said, field)
    number = math.prod(shape)
    nested = len(shape) > 1 and bool(data) and type(data[0]) is list
    if len(data) != (shape[0] if nested else number):
        raise BadRequest(f"has {len(data)} elements, expected {shape[0] if nested else number}", field)
    dtype = {binary.BYTES: "string", binary.BFLOAT16: "bfloat16"}.get(datatype) or binary.DATATYPES[datatype]
    spec = TensorSpec("", dtype, shape if nested else (number,))
    return tensor(data, spec, element_of(field), plain=plain).reshape(shape)


def _values(array: Tensor, field: str) -> Tensor:
    """The JSON values whose texts came as BYTES."""
    values = []
    for index, text in enumerate(array.reshape(-1).tolist()):
        try:
            values.append(orjson.loads(text))
        except orjson.JSONDecodeError as error:
            raise BadRequest(f"is not JSON: {error}", f"{field}[{index}]") from None
    return objects(values).reshape(array.shape)


def _wanted(values: Any, signature: Signature, by_default: bool) -> list[_Wanted]:
    """The outputs that the request names, or all."""
    specs = {spec.name: spec for spec in signature.outputs}
    if values is None or values == []:
        return [_Wanted(name, by_default) for name in specs]
    wanted = []
    for field, value, name in _named(values, "outputs", specs, ("name", "parameters")):
        field = f"{field}.parameters"
        parameters = _parameters(value, field, ("binary_data",))
        wanted.append(_Wanted(name, _flag(parameters, "binary_data", field, by_default)))
    return wanted


def _write(reply: _Reply, outputs: Outputs) -> Answer:
    """JSON alone, or JSON and behind it the bytes of the outputs that were asked for in binary."""
    specs = {spec.name: spec for spec in reply.signature.outputs}
    arrays = {one.name: _elements(outputs[one.name], specs[one.name]) for one in reply.outputs}
    tails = {one.name: binary.raw(arrays[one.name]) for one in reply.outputs if one.binary}
    described = [_described(name, array, tails.get(name)) for name, array in arrays.items()]
    in_json = {name: array for name, array in arrays.items() if name not in tails}
    places = {name: index for index, name in enumerate(arrays)}

    def place(name: str, index: tuple[int, ...]) -> str:
        at = np.ravel_multi_index(index, arrays[name].shape)
        return f"outputs[{places[name]}].data[{at}]"

    head = written({**reply.head, "outputs": described}, in_json, place)
    if not tails:
        return Answer(200, head)
    length = (("Inference-Header-Content-Length", str(len(head))),)
    return Answer(200, b"".join((head, *tails.values())), RAW_BYTES, length)


def _elements(array: Tensor, spec: TensorSpec) -> Tensor:
    """Numbers as they are, all else as an array of bytes: strings, and JSON values as their text."""
    if binary.datatype_of(array) != binary.BYTES:
        return array
    encode = _json_text if spec.dtype == "json" else _text
    return objects([encode(value) for value in array.reshape(-1).tolist()]).reshape(array.shape)


def _json_text(value: Any) -> bytes:
    whole = {"": objects([value])}
    return written(value, whole, lambda *_: "outputs").rstrip(b"\n")


def _text(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


def _described(name: str, array: Tensor, tail: bytes | memoryview | None) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": name,
        "datatype": binary.datatype_of(array),
        "shape": array.shape,
    }
    if tail is not None:
        return described | {"parameters": {"binary_data_size": len(tail)}}
    return described | {"data": _texts(name, array) if array.dtype.kind == "O" else array.reshape(-1)}


def _texts(name: str, array: Tensor) -> list[str]:
    try:
        return [value.decode("utf-8") for value in array.reshape(-1).tolist()]
    except UnicodeDecodeError:
        raise NotRepresentable(
            'bytes that are no UTF-8 text: ask for the output as "binary_data"', name
        ) from None


def server(served: Served, _: Request) -> Answer:
    """The server's version is the key of its environment: its base, packages and code."""
    version = served.about.get("environment_key", "unknown")
    return json_answer({"name": SERVER, "version": version, "extensions": ["binary_tensor_data"]})


def model(served: Served, _: Request) -> Answer:
    """What the default signature takes and gives; -1 is a free size, and all there is of a free rank."""
    signature = default_signature(served.model)
    return json_answer(
        {
            "name": served.name,
            "versions": [served.version],
            "platform": served.about.get("format", "unknown"),
            "inputs": [_tensor(spec) for spec in signature.inputs],
            "outputs": [_tensor(spec) for spec in signature.outputs],
        }
    )


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    shape = [-1 if size is None else size for size in spec.shape or (None,)]
    return {"name": spec.name, "datatype": binary.datatype(spec.dtype), "shape": shape}


def ready(served: Served, _: Request) -> Answer:
    """A model that is asked is ready."""
    return json_answer({"name": served.name, "ready": True})
