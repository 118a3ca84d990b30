"""JSON Schemas and examples of each door's requests and answers, for one model's signatures.

TensorFlow Serving: https://www.tensorflow.org/tfx/serving/api_rest
Open Inference Protocol: https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from serving.doors.binary import DATATYPES, datatype
from serving.runtimes import default_signature
from serving.schemas import (
    ANY_JSON,
    STRING,
    Schema,
    answered,
    array,
    choice,
    element,
    example_rows,
    nested,
    obj,
    optional,
    row_count,
)
from serving.served import Served
from serving.signature import Signature, TensorSpec

LONGEST_EXAMPLE = 4096  # elements; a longer example would be most of the document
NO_PARAMETERS = optional(obj({}))
COUNT: Schema = {"type": "integer", "minimum": 1}


def schemas(served: Served) -> dict[str, Schema]:
    """What requests and answers refer to as `#/components/schemas/…`."""
    default = default_signature(served.model)
    rows = _rows(default, served.max_rows)
    signatures = served.model.signatures.values()
    return {
        "Rows": choice([obj({key: rows}) for key in ("instances", "data")]),
        "Predictions": _predictions(default, served.max_rows),
        "VertexRows": choice(
            [obj({key: rows, "parameters": NO_PARAMETERS}, ["parameters"]) for key in ("instances", "data")]
        ),
        "V1Request": choice(list(_v1_requests(served))),
        "V1Answer": choice(
            [answer(each, served.max_rows) for each in signatures for answer in (_predictions, _outputs)]
        ),
        "V2Request": choice(list(_v2_requests(served))),
        "V2Answer": choice([_v2_answer(each, served) for each in signatures]),
        "Error": ERROR,
    }


ERROR: Schema = {
    **obj(
        {
            "error": {"type": "string", "minLength": 1, "description": "What is wrong, for people"},
            "field": {"type": "string", "minLength": 1, "description": "Where it is wrong"},
        },
        ["field"],
    ),
    "examples": [{"error": "is a string, expected a number", "field": "instances[0][1]"}],
}


def examples(served: Served, door: str) -> dict[str, Any]:
    """Request bodies that the door answers, by name; none where a row is unknown, or very long."""
    if not all(map(_has_example, served.model.signatures.values())):
        return {}
    if door == "v1":
        return dict(_v1_examples(served))
    if door == "v2":
        return dict(_v2_examples(served))
    return {"rows": {"instances": example_rows(default_signature(served.model))}}


def _has_example(signature: Signature) -> bool:
    if any(spec.dtype == ANY_JSON or spec.row_shape is None for spec in signature.inputs):
        return False
    elements = sum(math.prod(size or 1 for size in spec.row_shape or ()) for spec in signature.inputs)
    return elements * row_count(signature, 1)[0] <= LONGEST_EXAMPLE


def _choices(served: Served) -> Iterator[tuple[str, Signature, Schema, list[str]]]:
    """Each signature with its name, the name's schema, and ["signature_name"] where requests may lack it."""
    for number, (name, signature) in enumerate(served.model.signatures.items()):
        names = {"enum": [name]} if number else {"enum": [name, ""]}
        yield name, signature, names, [] if number else ["signature_name"]


# Rows and columns: /predict, SageMaker, Vertex AI, TensorFlow Serving, KServe V1


def _rows(signature: Signature, max_rows: int) -> Schema:
    """A list of rows: the only input's value, or an object by input name."""
    least, most = row_count(signature, max_rows)
    values = {spec.name: nested(element(spec.dtype), spec.row_shape) for spec in signature.inputs}
    return choice([array(row, least, most) for row in (*_only(values), obj(values))])


def _columns(signature: Signature, max_rows: int) -> Schema:
    """All rows of the only input, or an object of them by input name."""
    least, most = row_count(signature, max_rows)
    values = {
        spec.name: array(nested(element(spec.dtype), spec.row_shape), least, most)
        for spec in signature.inputs
    }
    return choice([*_only(values), obj(values)])


def _predictions(signature: Signature, max_rows: int) -> Schema:
    row = choice(_only(values := _answered(signature)) or [obj(values)])
    return obj({"predictions": array(row, *row_count(signature, max_rows))})


def _outputs(signature: Signature, max_rows: int) -> Schema:
    rows = row_count(signature, max_rows)
    values = {name: array(value, *rows) for name, value in _answered(signature).items()}
    return obj({"outputs": choice(_only(values) or [obj(values)])})


def _answered(signature: Signature) -> dict[str, Schema]:
    return {spec.name: nested(answered(spec.dtype), spec.row_shape, least=0) for spec in signature.outputs}


def _only(values: dict[str, Schema]) -> list[Schema]:
    """The only value, or nothing where there are several."""
    return list(values.values()) if len(values) == 1 else []


def _v1_requests(served: Served) -> Iterator[Schema]:
    for _, signature, names, lacking in _choices(served):
        for key, values in (("instances", _rows), ("inputs", _columns)):
            properties = {"signature_name": names, key: values(signature, served.max_rows)}
            yield obj(properties | {"parameters": NO_PARAMETERS}, ["parameters", *lacking])


def _v1_examples(served: Served) -> Iterator[tuple[str, Any]]:
    for name, signature, _, lacking in _choices(served):
        chosen = {} if lacking else {"signature_name": name}
        rows = example_rows(signature)
        inputs = [spec.name for spec in signature.inputs]
        columns = {each: [row[each] for row in rows] for each in inputs} if len(inputs) > 1 else rows
        yield f"rows of {name}", {**chosen, "instances": rows}
        yield f"columns of {name}", {**chosen, "inputs": columns}


# Open Inference Protocol


def _v2_requests(served: Served) -> Iterator[Schema]:
    for _, signature, names, lacking in _choices(served):
        number = len(signature.inputs)
        tensors = [
            tensor
            for spec in signature.inputs
            for tensor in _v2_inputs(spec, row_count(signature, served.max_rows))
        ]
        parameters = obj(
            {"signature_name": names, "binary_data_output": {"type": "boolean"}},
            ["binary_data_output", *lacking],
        )
        properties: dict[str, Schema] = {
            "id": optional(STRING),
            "model_name": {"enum": [served.name, None]},
            "model_version": {"enum": [served.version, None]},
            "parameters": optional(parameters) if lacking else parameters,
            "inputs": array(choice(tensors), number, number) | _each_once(signature.inputs, 1),
            "outputs": optional(_v2_wanted(signature.outputs)),
        }
        yield obj(
            properties,
            ["id", "model_name", "model_version", "outputs", *(["parameters"] if lacking else [])],
        )


def _each_once(specs: tuple[TensorSpec, ...], least: int) -> Schema:
    """Each name `least` to 1 times among the elements of a list."""
    if len(specs) == 1:
        return {}
    named = [{"properties": {"name": {"const": spec.name}}, "required": ["name"]} for spec in specs]
    return {"allOf": [{"contains": each, "minContains": least, "maxContains": 1} for each in named]}


def _v2_wanted(specs: tuple[TensorSpec, ...]) -> Schema:
    parameters = optional(obj({"binary_data": {"type": "boolean"}}, ["binary_data"]))
    one = obj({"name": {"enum": [spec.name for spec in specs]}, "parameters": parameters}, ["parameters"])
    return array(one, 0, len(specs)) | _each_once(specs, 0)


def _v2_inputs(spec: TensorSpec, rows: tuple[int, int]) -> Iterator[Schema]:
    """One tensor in each datatype whose values all fit the model's."""
    row_shape = spec.row_shape
    least, most = (count * math.prod(size or 1 for size in row_shape or ()) for count in rows)
    free = row_shape is None or None in row_shape
    for sent, dtype in _datatypes(spec.dtype):
        leaf = element(dtype)
        flat = array(leaf, least, None if free else most)
        deep = [array(nested(leaf, row_shape), *rows)] if row_shape != () else []
        yield obj(
            {
                "name": {"const": spec.name},
                "shape": _v2_shape(spec, rows),
                "datatype": {"const": sent},
                "parameters": NO_PARAMETERS,
                "data": choice([flat, *deep]),
            },
            ["parameters"],
        )


def _datatypes(dtype: str) -> Iterator[tuple[str, str]]:
    """The names of a type and of those that widen into it, with the type of the elements that come."""
    own = datatype(dtype)
    yield own, "string" if dtype == ANY_JSON else dtype
    for name, narrow in DATATYPES.items():
        if own in DATATYPES and name != own and "BOOL" not in (name, own) and np.can_cast(narrow, dtype):
            yield name, narrow


def _v2_shape(spec: TensorSpec, rows: tuple[int, int]) -> Schema:
    first = {"type": "integer", "minimum": rows[0], "maximum": rows[1]}
    if spec.row_shape is None:
        return {"type": "array", "prefixItems": [first], "items": COUNT, "minItems": 1}
    sizes = [COUNT if size is None else {"const": size} for size in spec.row_shape]
    rank = len(sizes) + 1
    return {
        "type": "array",
        "prefixItems": [first, *sizes],
        "items": False,
        "minItems": rank,
        "maxItems": rank,
    }


def _v2_answer(signature: Signature, served: Served) -> Schema:
    tensors = [
        obj(
            {
                "name": {"const": spec.name},
                "shape": array({"type": "integer", "minimum": 0}, 1, None),
                "datatype": {"const": datatype(spec.dtype)},
                "data": array(STRING if datatype(spec.dtype) == "BYTES" else answered(spec.dtype), 0, None),
            }
        )
        for spec in signature.outputs
    ]
    names = {"model_name": {"const": served.name}, "model_version": {"const": served.version}, "id": STRING}
    return obj({**names, "outputs": array(choice(tensors), 1, len(tensors))}, ["id"])


def _v2_examples(served: Served) -> Iterator[tuple[str, Any]]:
    for name, signature, _, lacking in _choices(served):
        chosen = {} if lacking else {"parameters": {"signature_name": name}}
        rows = example_rows(signature)
        only = len(signature.inputs) == 1
        inputs = [
            _v2_tensor(spec, rows if only else [row[spec.name] for row in rows]) for spec in signature.inputs
        ]
        yield f"tensors of {name}", {**chosen, "inputs": inputs}


def _v2_tensor(spec: TensorSpec, rows: list[Any]) -> dict[str, Any]:
    shape = [len(rows), *(size or 1 for size in spec.row_shape or ())]
    return {"name": spec.name, "shape": shape, "datatype": datatype(spec.dtype), "data": rows}
