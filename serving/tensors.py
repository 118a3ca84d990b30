"""Rows of JSON values become one array, strictly: exact shape, exact kind, finite, within range.

Levels of nesting are taken off for all rows at once with built-in functions, so that a good request is never
walked element by element in Python; only a bad one is searched for the element to name. Where no boolean can
be among them, numbers go straight into the array's memory: `struct` refuses what is none, or out of range.
"""

from __future__ import annotations

import base64
import binascii
import math
import struct
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.errors import BadRequest
from serving.signature import Shape, TensorSpec

Tensor = NDArray[Any]
Where = Callable[[tuple[int, ...]], str]  # names the element at an index: (3, 2) → "instances[3][2]"

MAX_RANK = 32
EXACT = (
    2**53
)  # beyond it a JSON number with a point or an exponent may stand for another integer than it says
_CODES = {  # https://docs.python.org/3/library/struct.html#format-characters
    "float16": "e",
    "bfloat16": "f",
    "float32": "f",
    "float64": "d",
    **dict(zip(("int8", "int16", "int32", "int64"), "bhiq", strict=True)),
    **dict(zip(("uint8", "uint16", "uint32", "uint64"), "BHIQ", strict=True)),
}
_ACCEPTED: dict[str, set[type]] = {"f": {int, float}, "i": {int}, "u": {int}, "b": {bool}, "O": {str, bytes}}
_WANTED = {"f": "a number", "i": "an integer", "u": "an integer", "b": "true or false", "O": "a string"}
_JSON_NAMES: dict[type, str] = {
    dict: "an object",
    list: "a list",
    str: "a string",
    bool: "a boolean",
    type(None): "null",
    int: "a number",
    float: "a number",
}


def json_name(value: object) -> str:
    """The JSON specification's word for a parsed value's type."""
    return _JSON_NAMES[type(value)]


@cache
def numpy_dtype(name: str) -> np.dtype[Any]:
    """The array type that a tensor of this type is sent in; bfloat16 travels as float32."""
    return np.dtype({"string": "O", "json": "O", "bfloat16": "float32"}.get(name, name))


def is_base64(value: object) -> bool:
    """Is it `{"b64": …}`, TensorFlow Serving's form for bytes that are no text?"""
    return type(value) is dict and value.keys() == {"b64"}


def tensor(rows: Sequence[Any], spec: TensorSpec, where: Where, *, plain: bool = False) -> Tensor:
    """The array of `rows` (at least one) that `spec` describes; BadRequest names the first wrong element.

    `plain` promises that there is no boolean in the rows.
    """
    if spec.shape and spec.shape[0] not in (None, len(rows)):
        raise BadRequest(
            f"{len(rows)} rows, but the model takes exactly {spec.shape[0]} at a time", where(())
        )
    if spec.dtype == "json":
        return objects(rows)
    row_shape = spec.row_shape
    if row_shape is None:
        row_shape = (None,) * _depth(rows[0], where)
    if plain and (array := _packed(rows, row_shape, spec.dtype)) is not None:
        return array
    items: Sequence[Any] = rows
    shape: tuple[int, ...] = (len(rows),)
    for size in row_shape:
        items, shape = _unpack(items, shape, size, where)
    return _leaves(items, shape, spec, where).reshape(shape)


def objects(values: Sequence[Any]) -> Tensor:
    """One element for each value, whatever it is; NumPy looks into no list."""
    return np.fromiter(values, object, len(values))


def _packed(rows: Sequence[Any], row_shape: Shape, name: str) -> Tensor | None:
    """The array, or None where anything is not as it should be; a boolean would pass for a number."""
    code = _CODES.get(name)
    if code is None:
        return None
    dtype = numpy_dtype(name)
    items: Iterable[Any] = rows
    shape = [len(rows)]
    try:
        for wanted in row_shape:
            items = list(items)
            (size,) = set(map(len, items))
            if not size or wanted not in (None, size):
                return None
            shape.append(size)
            items = chain.from_iterable(items)
        number = math.prod(shape)
        memory = bytearray(number * dtype.itemsize)
        struct.pack_into(f"{number}{code}", memory, 0, *items)
    except (TypeError, ValueError, OverflowError, struct.error):
        return None
    array = np.frombuffer(memory, dtype)
    if (
        dtype.kind == "f" and not np.isfinite(array).all()
    ):  # "f" turns what float32 does not hold into infinity
        return None
    return array.reshape(shape)


def _depth(value: Any, where: Where) -> int:
    depth = 0
    while isinstance(value, list) and value:
        value, depth = value[0], depth + 1
    if depth > MAX_RANK:
        raise BadRequest(f"nested {depth} deep, at most {MAX_RANK} is possible", where((0,)))
    return depth


def _unpack(
    items: Sequence[Any], shape: tuple[int, ...], size: int | None, where: Where
) -> tuple[list[Any], tuple[int, ...]]:
    """Take one level of lists off; all have `size` elements, or where it is free as many as the first."""
    wanted = f"a list of {size}" if size is not None else "a list"
    if set(map(type, items)) != {list}:
        at, item = _first(items, lambda item: type(item) is not list)
        raise BadRequest(f"is {json_name(item)}, expected {wanted}", _name(at, shape, where))
    expected = size if size is not None else len(items[0])
    if set(map(len, items)) != {expected}:
        at, item = _first(items, lambda item: len(item) != expected)
        like = "" if size is not None else f", like {_name(0, shape, where)}"
        raise BadRequest(f"has length {len(item)}, expected {expected}{like}", _name(at, shape, where))
    if expected == 0:
        raise BadRequest("is empty", _name(0, shape, where))
    return list(chain.from_iterable(items)), (*shape, expected)


def _leaves(items: Sequence[Any], shape: tuple[int, ...], spec: TensorSpec, where: Where) -> Tensor:
    dtype = numpy_dtype(spec.dtype)
    kind = dtype.kind
    if not set(map(type, items)) <= _ACCEPTED[kind]:
        if kind in "iu":
            items = [_integral(item) for item in items]
        elif kind == "O":
            items = [_decoded(item, at, shape, where) for at, item in enumerate(items)]
        at, item = _first(items, lambda item: type(item) not in _ACCEPTED[kind])
        if at >= 0:
            raise BadRequest(f"is {_described(item)}, expected {_WANTED[kind]}", _name(at, shape, where))
    if kind == "f":
        return _floats(items, shape, dtype, where)
    if kind in "iu":
        return _integers(items, shape, dtype, where)
    if kind == "O":
        return _strings(items, shape, where)
    return np.array(items, dtype)


def _floats(items: Sequence[Any], shape: tuple[int, ...], dtype: np.dtype[Any], where: Where) -> Tensor:
    try:
        with np.errstate(over="ignore"):
            array = np.array(items, np.float64).astype(dtype)
    except OverflowError:  # an integer beyond float64
        at, _ = _first(items, lambda item: type(item) is int and abs(item) > sys.float_info.max)
        raise BadRequest(f"is beyond the range of {dtype}", _name(at, shape, where)) from None
    finite = np.isfinite(array)
    if not finite.all():
        at = int(np.argmin(finite))
        reason = "is NaN, which is no number" if items[at] != items[at] else f"is beyond the range of {dtype}"
        raise BadRequest(reason, _name(at, shape, where))
    return array


def _integers(items: Sequence[Any], shape: tuple[int, ...], dtype: np.dtype[Any], where: Where) -> Tensor:
    try:
        return np.array(items, dtype)
    except OverflowError:
        info = np.iinfo(dtype)
        at, _ = _first(items, lambda item: not info.min <= item <= info.max)
        reason = f"is beyond the range of {dtype}, {info.min} to {info.max}"
        raise BadRequest(reason, _name(at, shape, where)) from None


def _strings(items: Sequence[Any], shape: tuple[int, ...], where: Where) -> Tensor:
    array = np.empty(len(items), object)
    for at, item in enumerate(items):
        try:
            array[at] = item if type(item) is bytes else item.encode("utf-8")
        except UnicodeEncodeError:
            raise BadRequest("has half of a surrogate pair", _name(at, shape, where)) from None
    return array


def _decoded(item: Any, at: int, shape: tuple[int, ...], where: Where) -> Any:
    """The bytes that `{"b64": …}` stands for (RFC 4648, section 4), else what stands there."""
    if not is_base64(item):
        return item
    text = item["b64"]
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise BadRequest("is not base64", f"{_name(at, shape, where)}.b64") from None


def _integral(item: Any) -> Any:
    """1.0 is an integer in JSON Schema's sense; 1.5 and what a float may have rounded stay what they are."""
    exact = type(item) is float and item.is_integer() and abs(item) < EXACT
    return int(item) if exact else item


def _described(item: Any) -> str:
    if type(item) is float:
        if abs(item) >= EXACT and item.is_integer():
            return f"{item!r}, which may have been rounded"
        return "NaN, which is no number" if item != item else f"{item!r}"
    return json_name(item)


def _first(items: Sequence[Any], wrong: Callable[[Any], bool]) -> tuple[int, Any]:
    """Index and value of the first wrong item; (-1, None) where none is."""
    return next(((at, item) for at, item in enumerate(items) if wrong(item)), (-1, None))


def _name(at: int, shape: tuple[int, ...], where: Where) -> str:
    return where(tuple(int(index) for index in np.unravel_index(at, shape)))
