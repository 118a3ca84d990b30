"""Requests made up from a model's signature, where nobody has recorded one yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

from ml_containerize.results import Json

SEVERAL = 3  # rows
MOST_OF_SEVERAL = 1_000  # elements in a row, beyond which one row has to do
MOST = 500_000  # elements in a request, beyond which a case is too large for git

Element = Callable[[int, int], Any]  # of a row by its number, and of an element by its place in the row

_WHOLE = ("int", "uint")


def made_up_requests(signature: Json) -> dict[str, Json]:
    """Bodies for /predict by name: zeros, and rows that differ; none where the signature tells too little.

    Integers are 0 and 1, since they may be indices of a vocabulary or of classes.
    """
    inputs: Sequence[Json] = signature["inputs"]
    if not inputs or any(spec["dtype"] == "json" for spec in inputs):
        return {}
    rows, size = _rows(inputs), sum(prod(_sizes(spec)) for spec in inputs)
    if rows * size > MOST:
        return {}
    if size > MOST_OF_SEVERAL:
        return {"made-up": _request(inputs, rows, _varied)}
    several = rows if _is_fixed(inputs) else SEVERAL
    return {"zeros": _request(inputs, rows, zero), "made-up": _request(inputs, several, _varied)}


def _is_fixed(inputs: Sequence[Json]) -> bool:
    """True where the model takes one number of rows only."""
    return any(spec["shape"] and spec["shape"][0] is not None for spec in inputs)


def _rows(inputs: Sequence[Json]) -> int:
    return max(int((spec["shape"] or [1])[0] or 1) for spec in inputs)


def _sizes(spec: Json) -> list[int]:
    """Of one row; a free size is 1, and a free rank is a number."""
    return [size or 1 for size in (spec["shape"] or [None])[1:]]


def _request(inputs: Sequence[Json], rows: int, element: Callable[[str], Element]) -> Json:
    return {"instances": [_row(inputs, number, element) for number in range(rows)]}


def _row(inputs: Sequence[Json], number: int, element: Callable[[str], Element]) -> Any:
    named = {spec["name"]: nested(_sizes(spec), number, element(spec["dtype"])) for spec in inputs}
    return next(iter(named.values())) if len(named) == 1 else named


def nested(sizes: Sequence[int], row: int, element: Element, start: int = 0) -> Any:
    """Lists in lists of these sizes, the elements counted through from `start`."""
    if not sizes:
        return element(row, start)
    inner = prod(sizes[1:])
    return [nested(sizes[1:], row, element, start + place * inner) for place in range(sizes[0])]


def zero(dtype: str) -> Element:
    """0, false, or a short text."""
    value: Any = {"string": "text", "bool": False}.get(dtype, 0 if dtype.startswith(_WHOLE) else 0.0)
    return lambda _row, _place: value


def _varied(dtype: str) -> Element:
    """From 0.0 to 0.9, 0 and 1, both truth values, or numbered texts."""
    if dtype == "string":
        return lambda row, place: f"text {row + place}"
    if dtype == "bool":
        return lambda row, place: (row + place) % 2 == 1
    if dtype.startswith(_WHOLE):
        return lambda row, place: (row + place) % 2
    return lambda row, place: (3 * row + 7 * place) % 10 / 10
