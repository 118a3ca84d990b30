"""A model's output arrays become the JSON list of predictions, one for each row."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np

from serving.errors import NotRepresentable
from serving.tensors import Tensor


def predictions(outputs: Mapping[str, Tensor]) -> list[Any]:
    """One prediction a row: the output's value, or an object keyed by output name where there are several.

    Raises NotRepresentable for NaN and infinities, which JSON does not have (RFC 8259, section 6).
    """
    if len(outputs) == 1:
        return _column(next(iter(outputs.values())), "")
    columns = {name: _column(array, f".{name}") for name, array in outputs.items()}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _column(array: Tensor, name: str) -> list[Any]:
    if array.dtype.kind == "O":
        return _texts(array.tolist())
    if array.dtype.kind == "V":  # bfloat16, which NumPy does not know
        array = array.astype(np.float32)
    if array.dtype.kind == "f":
        _check_finite(array, name)
    return list(array.tolist())


def _check_finite(array: Tensor, name: str) -> None:
    finite = np.isfinite(array)
    if finite.all():
        return
    row, *rest = (int(at) for at in np.unravel_index(int(np.argmin(finite)), array.shape))
    field = f"predictions[{row}]{name}" + "".join(f"[{at}]" for at in rest)
    value = array[(row, *rest)]
    raise NotRepresentable(f"the model answered {value} for this input, which JSON cannot carry", field)


def _texts(values: list[Any]) -> list[Any]:
    return [_texts(value) if isinstance(value, list) else _text(value) for value in values]


def _text(value: bytes) -> str | dict[str, str]:
    """A string where the bytes are UTF-8, else {"b64": …} as TensorFlow Serving's REST API has it."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(value).decode("ascii")}
