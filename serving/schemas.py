"""JSON Schemas of what a model takes and gives, and the simplest values that fit them.

The dialect is OpenAPI 3.1's, JSON Schema 2020-12 (https://json-schema.org/draft/2020-12/json-schema-validation).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from serving.signature import Shape, Signature, TensorSpec
from serving.tensors import numpy_dtype

Schema = dict[str, Any]

FORMATS = {"float32": "float", "float64": "double", "int32": "int32", "int64": "int64"}  # OpenAPI's registry
ANY_JSON = "json"
STRING: Schema = {"type": "string"}
_BASE64 = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"  # RFC 4648, section 4
BASE64: Schema = {
    "type": "object",
    "properties": {"b64": {"type": "string", "contentEncoding": "base64", "pattern": _BASE64}},
    "required": ["b64"],
    "additionalProperties": False,
}


def element(dtype: str) -> Schema:
    """One number, boolean or string that an input of this type takes, within the type's range.

    Bytes that are no text come as base64, as in TensorFlow Serving's REST API.
    """
    if dtype == ANY_JSON:
        return {}
    kind = numpy_dtype(dtype)
    formatted = {"format": FORMATS[kind.name]} if kind.name in FORMATS else {}
    if kind.kind == "f":
        return {"type": "number", **formatted, **_below_infinity(kind)}
    if kind.kind in "iu":
        info = np.iinfo(kind)
        return {"type": "integer", **formatted, "minimum": int(info.min), "maximum": int(info.max)}
    return {"type": "boolean"} if kind.kind == "b" else {"anyOf": [STRING, BASE64]}


def _below_infinity(dtype: np.dtype[Any]) -> Schema:
    """Where rounding to nearest gives infinity (IEEE 754-2019, 4.3.1); float64 holds whatever JSON does."""
    if dtype == np.float64:
        return {}
    largest = np.finfo(dtype).max
    bound = float(largest) + float(largest - np.nextafter(largest, dtype.type(0))) / 2
    return {"exclusiveMinimum": -bound, "exclusiveMaximum": bound}


def answered(dtype: str) -> Schema:
    """One element of an output, whatever its size."""
    return {name: value for name, value in element(dtype).items() if not name.startswith("exclusive")}


def nested(leaf: Schema, shape: Shape | None, *, least: int = 1) -> Schema:
    """Lists in lists of the `shape`'s sizes; a free size is at least `least`, a free rank any nesting.

    That all lists at a free level are equally long is beyond JSON Schema, and refused all the same.
    """
    if shape is None:
        return {"anyOf": [leaf, {"type": "array", "minItems": least}]}
    schema = leaf
    for size in reversed(shape):
        schema = array(schema, least, None) if size is None else array(schema, size, size)
    return schema


def array(items: Schema, least: int, most: int | None) -> Schema:
    return {
        "type": "array",
        "items": items,
        "minItems": least,
        **({} if most is None else {"maxItems": most}),
    }


def obj(properties: dict[str, Schema], lacking: Sequence[str] = ()) -> Schema:
    """An object with these properties and no other; those that may be `lacking` are not required."""
    required = [name for name in properties if name not in lacking]
    return {
        "type": "object",
        "properties": properties,
        **({"required": required} if required else {}),
        "additionalProperties": False,
    }


def optional(schema: Schema) -> Schema:
    """What may be null, which says no more than leaving it out."""
    return choice([schema, {"type": "null"}])


def choice(schemas: Sequence[Schema]) -> Schema:
    return schemas[0] if len(schemas) == 1 else {"anyOf": list(schemas)}


def row_count(signature: Signature, max_rows: int) -> tuple[int, int]:
    """Least and most rows in one request: what an input's first dimension fixes, else 1 to `max_rows`."""
    fixed = [spec.shape[0] for spec in signature.inputs if spec.shape and spec.shape[0] is not None]
    return (fixed[0], fixed[0]) if fixed else (1, max_rows)


def example(spec: TensorSpec) -> Any:
    """The smallest row: zeros, false or "text", one element along a free dimension."""
    if spec.dtype == ANY_JSON:
        return {}
    zero: Any = {"f": 0.0, "i": 0, "u": 0, "b": False, "O": "text"}[numpy_dtype(spec.dtype).kind]
    for size in reversed(spec.row_shape or ()):
        zero = [zero] * (1 if size is None else size)
    return zero


def example_rows(signature: Signature) -> list[Any]:
    """The fewest rows that the model takes, as `/predict` reads them."""
    inputs = signature.inputs
    row = example(inputs[0]) if len(inputs) == 1 else {spec.name: example(spec) for spec in inputs}
    return [row] * row_count(signature, 1)[0]
