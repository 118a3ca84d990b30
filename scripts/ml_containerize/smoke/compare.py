"""Expected and answered predictions, compared: shapes, kinds, labels, and each number in its tolerance."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ml_containerize.results import Json
from ml_containerize.smoke.cases import Tolerance, kind_of

_KINDS = {float: "floating-point numbers", int: "integers", str: "strings", bool: "true or false"}
_SHOWN = 4  # elements of a list that are shown to people


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where the answer is not what was recorded; `excess` orders them, worst highest."""

    place: str
    got: object
    expected: object
    off: float = math.inf
    allowed: float | None = None  # None where only equality will do

    @property
    def excess(self) -> float:
        return self.off / self.allowed if self.allowed else math.inf

    def __str__(self) -> str:
        text = f"{self.place} is {show(self.got)}, expected {show(self.expected)}"
        if self.allowed is None:
            return text
        return f"{text}: off by {self.off:.3g} where {self.allowed:.3g} is allowed"


def compare(expected: Json, answer: object, tolerance: Tolerance) -> list[str]:
    """Say how `answer` differs from what a case expects; nothing where it matches.

    Every key of `expected` must be there; what else the answer holds is its own affair.
    """
    if not isinstance(answer, dict):
        return [f"the answer is {kind_of(answer)}, not an object"]
    problems = []
    for key, value in expected.items():
        if key in answer:
            problems += _compare_value(key, value, answer[key], tolerance)
        else:
            problems.append(f"the answer has no {key!r} (it has {', '.join(answer) or 'nothing'})")
    return problems


def _compare_value(place: str, expected: object, got: object, tolerance: Tolerance) -> list[str]:
    if isinstance(expected, dict):
        return _compare_objects(place, expected, got, tolerance)
    if isinstance(expected, list) and any(isinstance(item, dict) for item in expected):
        return _compare_rows(place, expected, got, tolerance)
    return _compare_arrays(place, expected, got, tolerance)


def _compare_objects(place: str, expected: Json, got: object, tolerance: Tolerance) -> list[str]:
    """Named outputs: the same names, each with its own array."""
    if not isinstance(got, dict) or got.keys() != expected.keys():
        return [f"{place} is {show(got)}, expected {show(expected)}"]
    return [
        problem
        for key, value in expected.items()
        for problem in _compare_value(f"{place}.{key}", value, got[key], tolerance)
    ]


def _compare_rows(place: str, expected: list[Any], got: object, tolerance: Tolerance) -> list[str]:
    """A list of objects, one for each instance."""
    if not isinstance(got, list) or len(got) != len(expected):
        return [f"{place} has shape {_shape_text(got)}, expected {_shape_text(expected)}"]
    return [
        problem
        for index, value in enumerate(expected)
        for problem in _compare_value(f"{place}[{index}]", value, got[index], tolerance)
    ]


def _compare_arrays(place: str, expected: object, got: object, tolerance: Tolerance) -> list[str]:
    """Shape and kind first: element by element makes sense only between arrays that agree in both."""
    if shape_of(expected) != shape_of(got):
        return [f"{place} has shape {_shape_text(got)}, expected {_shape_text(expected)}"]
    kinds = _kinds(expected), _kinds(got)
    if kinds[0] != kinds[1] and len(kinds[0]) == len(kinds[1]) == 1:
        return [f"{place} holds {_kind_text(kinds[1])}, expected {_kind_text(kinds[0])}"]
    found = list(_differences(place, expected, got, tolerance, exact=kinds[0] == {int}))
    if not found:
        return []
    worst = max(found, key=lambda difference: difference.excess)
    count = sum(1 for _ in _leaves(expected))
    return [str(worst) if count == 1 else f"{worst}; {len(found)} of {count} elements are off"]


def _differences(
    place: str, expected: Any, got: Any, tolerance: Tolerance, *, exact: bool
) -> Iterator[Difference]:
    if isinstance(expected, list) and isinstance(got, list):
        if len(expected) != len(got):
            yield Difference(place, got, expected)
            return
        for index, (a, b) in enumerate(zip(expected, got, strict=True)):
            yield from _differences(f"{place}[{index}]", a, b, tolerance, exact=exact)
    elif _is_number(expected) and _is_number(got) and not exact:
        off, allowed = abs(_real(got) - _real(expected)), tolerance.allowed(_real(expected))
        if not off <= allowed:  # so written that NaN is a difference
            yield Difference(place, got, expected, off, allowed)
    elif type(expected) is not type(got) or expected != got:
        yield Difference(place, got, expected)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _real(number: float) -> float:
    """A JSON integer may be too large for a double."""
    try:
        return float(number)
    except OverflowError:
        return math.inf


def shape_of(value: object) -> tuple[int, ...] | None:
    """The shape of nested lists as an array has it; None where rows differ in length."""
    if not isinstance(value, list):
        return ()
    inner = {shape_of(item) for item in value}
    if not inner:
        return (0,)
    only = inner.pop()
    return None if inner or only is None else (len(value), *only)


def _shape_text(value: object) -> str:
    shape = shape_of(value)
    return "with rows of different lengths" if shape is None else str(shape)


def _leaves(value: object) -> Iterator[object]:
    if isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


def _kinds(value: object) -> frozenset[type]:
    """The kinds of an array's elements; an integer among floating-point numbers is one of them."""
    kinds = frozenset(type(leaf) for leaf in _leaves(value))
    return kinds - {int} if float in kinds else kinds


def _kind_text(kinds: frozenset[type]) -> str:
    (kind,) = kinds
    return _KINDS.get(kind, "null")


def show(value: object) -> str:
    """A value short enough for a line of text."""
    if isinstance(value, float):
        return f"{value:.7g}"
    if isinstance(value, list):
        items = [show(item) for item in value[:_SHOWN]]
        more = [f"… {len(value)} in all"] if len(value) > _SHOWN else []
        return f"[{', '.join([*items, *more])}]"
    if isinstance(value, dict):
        return f"{{{', '.join(value)}}}"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}…"


def show_prediction(answer: Json) -> str:
    """The first prediction for people: its label where the server gives one, else its numbers."""
    labels, predictions = answer.get("labels"), answer.get("predictions")
    if isinstance(labels, list) and labels:
        return show(labels[0])
    first = predictions[0] if isinstance(predictions, list) and predictions else predictions
    if not isinstance(first, list) or len(first) < 2 or not all(_is_number(item) for item in first):
        return show(first)
    largest = max(range(len(first)), key=first.__getitem__)
    return f"{show([round(item, 4) for item in first])}, largest at {largest}"
