"""JSON Schemas and examples of each door's requests and answers, for one model's signatures.

TensorFlow Serving: https://www.tensorflow.org/tfx/serving/api_rest
Open Inference Protocol: https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from serving.doors import Route
from serving.runtimes import default_signature
from serving.schemas import (
    BASE64,
    Schema,
    answered,
    array,
    choice,
    element,
    example_rows,
    nested,
    obj,
    row_count,
)
from serving.served import Served
from serving.signature import Signature, TensorSpec

NAMES = {  # a door's request and answer
    "predict": ("Rows", "Predictions"),
    "sagemaker": ("Rows", "Predictions"),
    "vertex": ("VertexRows", "Predictions"),
    "v1": ("V1Request", "V1Answer"),
    "v2": ("V2Request", "V2Answer"),
}
HEADER_LENGTH = "Inference-Header-Content-Length"
LENGTH = {
    "description": "Bytes of JSON in front of the binary tensors",
    "schema": {"type": "integer", "minimum": 0},
}
LARGEST_EXAMPLE = 4096  # elements; a longer example would be most of the document
DATATYPES = {"bool": "BOOL", "string": "BYTES", "bfloat16": "BF16"}
STRINGS: Schema = {"type": "string"}


def schemas(served: Served) -> dict[str, Schema]:
    """What requests and answers refer to as `#/components/schemas/…`."""
    default = default_signature(served.model)
    predictions = obj({"predictions": _answer_rows(default, served)})
    return {
        "Rows": choice([obj({key: _rows(default, served)}) for key in ("instances", "data")]),
        "Predictions": predictions,
        "VertexRows": obj(
            {"instances": _rows(default, served), "parameters": {"type": "object"}}, ["parameters"]
        ),
        "V1Request": choice(list(_v1_requests(served))),
        "V1Answer": choice(list(_v1_answers(served))),
        "V2Request": _v2_request(default, served.max_rows),
        "V2Answer": _v2_answer(default, served),
    }


def examples(served: Served, door: str) -> dict[str, Any]:
    """Request bodies that the door answers, by name; none where a row is very long."""
    default = default_signature(served.model)
    if _length(default) > LARGEST_EXAMPLE:
        return {}
    if door == "v1":
        return dict(_v1_examples(served))
    if door == "v2":
        return {"json": _v2_example(default)}
    return {"rows": {"instances": example_rows(default)}}


def _length(signature: Signature) -> int:
    rows, _ = row_count(signature, 1)
    return rows * sum(math.prod(size or 1 for size in spec.row_shape or ()) for spec in signature.inputs)


# rows: /predict, SageMaker, Vertex AI, and TensorFlow Serving's row format


def _rows(signature: Signature, served: Served, *, base64: bool = False) -> Schema:
    """A list of rows: the input's value, or an object by input name."""
    least, most = row_count(signature, served.max_rows)
    values = {spec.name: _row(spec, base64=base64) for spec in signature.inputs}
    named = [obj(values)]
    plain = list(values.values()) if len(values) == 1 else []
    return choice([array(row, least, most) for row in (*plain, *named)])


def _row(spec: TensorSpec, *, base64: bool = False) -> Schema:
    leaf = element(spec.dtype)
    if base64 and leaf == STRINGS:
        leaf = {"anyOf": [leaf, BASE64]}
    return nested(leaf, spec.row_shape)


def _answer_rows(signature: Signature, served: Served) -> Schema:
    least, most = row_count(signature, served.max_rows)
    values = {spec.name: nested(answered(spec.dtype), spec.row_shape, least=0) for spec in signature.outputs}
    row = obj(values) if len(values) > 1 else next(iter(values.values()))
    return array(row, least, most)


# TensorFlow Serving and KServe V1


def _v1_requests(served: Served) -> Iterator[Schema]:
    for signature_name, (name, signature) in _named(served):
        for key, values in (
            ("instances", _rows(signature, served, base64=True)),
            ("inputs", _columns(signature, served)),
        ):
            optional = ["signature_name"] if name == next(iter(served.model.signatures)) else []
            yield obj({"signature_name": signature_name, key: values}, optional)


def _v1_answers(served: Served) -> Iterator[Schema]:
    for _, (_, signature) in _named(served):
        yield obj({"predictions": _answer_rows(signature, served)})
        yield obj({"outputs": _answer_columns(signature, served)})


def _v1_examples(served: Served) -> Iterator[tuple[str, Any]]:
    several = len(served.model.signatures) > 1
    for name, signature in served.model.signatures.items():
        chosen = {"signature_name": name} if several else {}
        rows = example_rows(signature)
        yield f"rows, {name}", {**chosen, "instances": rows}
        names = [spec.name for spec in signature.inputs]
        columns = rows if len(names) == 1 else {name: [row[name] for row in rows] for name in names}
        yield f"columns, {name}", {**chosen, "inputs": columns}


def _named(served: Served) -> Iterator[tuple[Schema, tuple[str, Signature]]]:
    for name, signature in served.model.signatures.items():
        yield {"const": name}, (name, signature)


def _columns(signature: Signature, served: Served) -> Schema:
    """All rows of each input by its name, or of the only input alone."""
    least, most = row_count(signature, served.max_rows)
    values = {spec.name: array(_row(spec, base64=True), least, most) for spec in signature.inputs}
    plain = list(values.values()) if len(values) == 1 else []
    return choice([*plain, obj(values)])


def _answer_columns(signature: Signature, served: Served) -> Schema:
    least, most = row_count(signature, served.max_rows)
    values = {
        spec.name: array(nested(answered(spec.dtype), spec.row_shape, least=0), least, most)
        for spec in signature.outputs
    }
    return obj(values) if len(values) > 1 else next(iter(values.values()))


# Open Inference Protocol


def _v2_request(signature: Signature, max_rows: int) -> Schema:
    tensors = [_v2_input(spec, row_count(signature, max_rows)) for spec in signature.inputs]
    number = len(tensors)
    outputs = obj(
        {"name": {"enum": [spec.name for spec in signature.outputs]}, "parameters": {"type": "object"}},
        ["parameters"],
    )
    each_once = [
        {"contains": {"properties": {"name": {"const": spec.name}}}}
        for spec in signature.inputs
        if number > 1
    ]
    return obj(
        {
            "id": STRINGS,
            "parameters": {"type": "object"},
            "inputs": {
                **array(choice(tensors), number, number),
                **({"allOf": each_once} if each_once else {}),
            },
            "outputs": array(outputs, 1, len(signature.outputs)),
        },
        ["id", "parameters", "outputs"],
    )


def _v2_input(spec: TensorSpec, rows: tuple[int, int]) -> Schema:
    least, most = rows
    leaf = element(spec.dtype)
    sizes = None if spec.row_shape is None else math.prod(size or 1 for size in spec.row_shape)
    free = sizes is None or None in (spec.row_shape or ())
    flat = array(leaf, least * (sizes or 1), None if free else most * (sizes or 1))
    deep = array(nested(leaf, spec.row_shape), least, most)
    return obj(
        {
            "name": {"const": spec.name},
            "shape": _v2_shape(spec, rows),
            "datatype": {"const": datatype(spec.dtype)},
            "parameters": {"type": "object"},
            "data": choice([flat, deep] if spec.row_shape != () else [flat]),
        },
        ["parameters"],
    )


def _v2_shape(spec: TensorSpec, rows: tuple[int, int]) -> Schema:
    row = {"type": "integer", "minimum": rows[0], "maximum": rows[1]}
    if spec.row_shape is None:
        return {
            "type": "array",
            "prefixItems": [row],
            "items": {"type": "integer", "minimum": 1},
            "minItems": 1,
        }
    sizes = [
        {"type": "integer", "minimum": 1} if size is None else {"const": size} for size in spec.row_shape
    ]
    rank = len(sizes) + 1
    return {"type": "array", "prefixItems": [row, *sizes], "items": False, "minItems": rank, "maxItems": rank}


def _v2_answer(signature: Signature, served: Served) -> Schema:
    tensors = [
        obj(
            {
                "name": {"const": spec.name},
                "shape": array({"type": "integer", "minimum": 0}, 1, None),
                "datatype": {"const": datatype(spec.dtype)},
                "parameters": {"type": "object"},
                "data": {"type": "array", "items": answered(spec.dtype)},
            },
            ["parameters"],
        )
        for spec in signature.outputs
    ]
    return obj(
        {
            "id": STRINGS,
            "model_name": {"const": served.name},
            "model_version": {"const": served.version},
            "parameters": {"type": "object"},
            "outputs": array(choice(tensors), 1, len(tensors)),
        },
        ["id", "model_version", "parameters"],
    )


def _v2_example(signature: Signature) -> Any:
    rows = example_rows(signature)
    return {
        "inputs": [
            {
                "name": spec.name,
                "shape": [len(rows), *(size or 1 for size in spec.row_shape or ())],
                "datatype": datatype(spec.dtype),
                "data": rows if len(signature.inputs) == 1 else [row[spec.name] for row in rows],
            }
            for spec in signature.inputs
        ]
    }


def datatype(dtype: str) -> str:
    """The Open Inference Protocol's word: INT64, FP32, BYTES."""
    return DATATYPES.get(dtype) or dtype.upper().replace("FLOAT", "FP")


# What GET answers


def information(_served: Served, route: Route) -> Schema:
    """What a path that predicts nothing tells."""
    return _information(route.path.rstrip("/").rsplit("/", 1)[-1], route.door)


def _information(last: str, door: str) -> Schema:
    known: Mapping[tuple[str, str], list[str]] = {
        ("v1", "metadata"): ["model_spec", "metadata"],
        ("v1", "models"): ["models"],
        ("v2", "v2"): ["name", "version", "extensions"],
        ("v2", "ready"): [],
    }
    required = known.get((door, last), ["name", "platform", "inputs", "outputs"] if door == "v2" else [])
    return {"type": "object", **({"required": required} if required else {})}
