"""A model's output arrays become JSON, straight from their memory where NumPy's type has a JSON form.

float32 is written as the shortest number that reads as the same float32, bfloat16 as the float32 that it is.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import orjson

from serving.errors import NotRepresentable
from serving.tensors import Tensor

Name = Callable[[str, tuple[int, ...]], str]  # an output and an index in it → the place in the answer

_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE


def rows_json(outputs: Mapping[str, Tensor]) -> bytes:
    """`{"predictions": […]}`: a row's value, or an object keyed by output name where there are several.

    Raises NotRepresentable for NaN and infinities, which JSON does not have (RFC 8259, section 6).
    """
    if len(outputs) == 1:
        value: Any = next(iter(outputs.values()))
    else:
        arrays = [_widened(array) for array in outputs.values()]
        value = [dict(zip(outputs, row, strict=True)) for row in zip(*arrays, strict=True)]
    return written({"predictions": value}, outputs, _in_rows if len(outputs) > 1 else _in_only_row)


def columns_json(outputs: Mapping[str, Tensor]) -> bytes:
    """`{"outputs": …}`: the only output's value, or an object by output name; raises NotRepresentable."""
    only = len(outputs) == 1
    value = next(iter(outputs.values())) if only else dict(outputs)
    return written({"outputs": value}, outputs, _in_only_column if only else _in_columns)


def written(value: Any, outputs: Mapping[str, Tensor], name: Name) -> bytes:
    """`value`, which holds the outputs' elements, as a line of JSON.

    Raises NotRepresentable for what JSON cannot carry; `name` says where that is.
    """
    try:
        text = orjson.dumps(value, default=_json_form, option=_OPTIONS)
    except TypeError as error:
        raise NotRepresentable(f"the model's answer has no JSON form: {error}") from None
    if b"null" in text:  # what orjson writes for NaN and infinities
        check_finite(outputs, name)
    return text


def check_finite(outputs: Mapping[str, Tensor], name: Name) -> None:
    """NotRepresentable names the first NaN or infinity."""
    for output, array in outputs.items():
        finite = _finite(array)
        if not finite.all():
            index = tuple(int(at) for at in np.unravel_index(int(np.argmin(finite)), array.shape))
            said = array[index] if array.dtype.kind != "O" else "NaN or an infinity"
            reason = f"the model answered {said} for this input, which JSON cannot carry"
            raise NotRepresentable(reason, name(output, index))


def text_or_base64(value: bytes) -> str | dict[str, str]:
    """A string where the bytes are UTF-8, else {"b64": …} as TensorFlow Serving's REST API has it."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return as_base64(value)


def as_base64(value: bytes) -> dict[str, str]:
    """RFC 4648, section 4."""
    return {"b64": base64.b64encode(value).decode("ascii")}


def _json_form(value: Any) -> Any:
    """What orjson does not know: bytes, bfloat16, and arrays that are not one block of memory."""
    if isinstance(value, bytes):
        return text_or_base64(value)
    if isinstance(value, np.ndarray):
        wide = _widened(value)
        return wide if wide is not value and wide.ndim else wide.tolist()
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is no JSON type")


def _widened(array: Tensor) -> Tensor:
    """One block of memory, bfloat16 (which NumPy does not know) as float32."""
    if array.dtype.kind == "V":
        array = array.astype(np.float32)
    return array if array.flags.c_contiguous else np.ascontiguousarray(array)


def _finite(array: Tensor) -> Tensor:
    """For each element, whether JSON has its numbers."""
    if array.dtype.kind == "O":
        flat = (_is_finite(value) for value in array.reshape(-1).tolist())
        return np.fromiter(flat, bool, array.size).reshape(array.shape)
    if array.dtype.kind in "fV":
        return np.isfinite(_widened(array))
    return np.ones(array.shape, bool)


def _is_finite(value: Any) -> bool:
    if isinstance(value, (float, np.floating)):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    if isinstance(value, (list, tuple)):
        return all(map(_is_finite, value))
    return not isinstance(value, np.ndarray) or bool(_finite(value).all())


def indices(index: tuple[int, ...]) -> str:
    """(3, 2) → "[3][2]"."""
    return "".join(f"[{at}]" for at in index)


def _in_only_row(_: str, index: tuple[int, ...]) -> str:
    return f"predictions{indices(index)}"


def _in_rows(output: str, index: tuple[int, ...]) -> str:
    return f"predictions[{index[0]}].{output}{indices(index[1:])}"


def _in_only_column(_: str, index: tuple[int, ...]) -> str:
    return f"outputs{indices(index)}"


def _in_columns(output: str, index: tuple[int, ...]) -> str:
    return f"outputs.{output}{indices(index)}"
