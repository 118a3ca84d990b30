"""Rows of JSON values become one array, strictly: exact shape, exact kind, finite, within range.

Levels of nesting are taken off for all rows at once with built-in functions, so that a good request is never
walked element by element in Python; only a bad one is searched for the element to name.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.errors import BadRequest
from serving.signature import TensorSpec

Tensor = NDArray[Any]
Where = Callable[[tuple[int, ...]], str]  # names the element at an index: (3, 2) → "instances[3][2]"

MAX_RANK = 32
_ACCEPTED: dict[str, set[type]] = {"f": {int, float}, "i": {int}, "u": {int}, "b": {bool}, "O": {str}}
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


def numpy_dtype(name: str) -> np.dtype[Any]:
    """The array type that a tensor of this type is sent in; bfloat16 travels as float32."""
    return np.dtype({"string": "O", "bfloat16": "float32"}.get(name, name))


def tensor(rows: Sequence[Any], spec: TensorSpec, where: Where) -> Tensor:
    """The array of `rows` (at least one) that `spec` describes; BadRequest names the first wrong element."""
    if spec.shape and spec.shape[0] not in (None, len(rows)):
        raise BadRequest(f"{len(rows)} rows, but the model takes exactly {spec.shape[0]} at a time")
    row_shape = spec.row_shape
    if row_shape is None:
        row_shape = (None,) * _depth(rows[0])
    items: Sequence[Any] = rows
    shape: tuple[int, ...] = (len(rows),)
    for size in row_shape:
        items, shape = _unpack(items, shape, size, where)
    return _leaves(items, shape, spec, where).reshape(shape)


def _depth(value: Any) -> int:
    depth = 0
    while isinstance(value, list) and value:
        value, depth = value[0], depth + 1
    if depth > MAX_RANK:
        raise BadRequest(f"nested {depth} deep, at most {MAX_RANK} is possible")
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
            array[at] = item.encode("utf-8")
        except UnicodeEncodeError:
            raise BadRequest("has half of a surrogate pair", _name(at, shape, where)) from None
    return array


def _integral(item: Any) -> Any:
    """1.0 is an integer in JSON Schema's sense, 1.5 stays what it is."""
    return int(item) if type(item) is float and item.is_integer() else item


def _described(item: Any) -> str:
    if type(item) is float:
        return "NaN, which is no number" if item != item else f"{item!r}"
    return json_name(item)


def _first(items: Sequence[Any], wrong: Callable[[Any], bool]) -> tuple[int, Any]:
    """Index and value of the first wrong item; (-1, None) where none is."""
    return next(((at, item) for at, item in enumerate(items) if wrong(item)), (-1, None))


def _name(at: int, shape: tuple[int, ...], where: Where) -> str:
    return where(tuple(int(index) for index in np.unravel_index(at, shape)))
