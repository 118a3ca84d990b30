"""Which cases get another answer from one image than from another, and by how much."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ml_containerize.results import Answered, CaseResult, Move, Scalar


@dataclass(frozen=True, slots=True)
class Answers:
    """What two images said to the same requests."""

    compared: int
    moved: tuple[Move, ...]
    unasked: tuple[str, ...]  # requests that only the earlier image was asked, by their cases' names
    unkept: tuple[str, ...]  # cases of which an answer is missing


def compare_answers(before: Sequence[CaseResult], after: Sequence[CaseResult]) -> Answers:
    """Hold answers to the same request against each other, whatever the cases are called.

    A number may differ by as much as the narrower of both cases' tolerances allows.
    """
    earlier = {case.request: case for case in reversed(before) if case.request}
    pairs = [(earlier[case.request], case) for case in after if case.request in earlier]
    known = [(old, new) for old, new in pairs if old.answered and new.answered]
    asked = {case.request for case in after}
    return Answers(
        compared=len(known),
        moved=tuple(move for old, new in known if (move := _move(old, new))),
        unasked=tuple(case.name for case in earlier.values() if case.request not in asked),
        unkept=tuple(new.name for old, new in pairs if not (old.answered and new.answered)),
    )


def _move(old: CaseResult, new: CaseResult) -> Move | None:
    before, after = old.answered, new.answered
    if before is None or after is None:
        return None
    if what := _another_form(before, after):
        return Move(new.name, None, None, what, old.prediction, new.prediction)
    rtol, atol = min(old.rtol, new.rtol), min(old.atol, new.atol)
    found = list(_differing(before.values, after.values, rtol, atol))
    if not found:
        return None
    sizes = [size for size in found if size is not None]
    return Move(
        name=new.name,
        absolute=max((absolute for absolute, _ in sizes), default=None),
        relative=max((relative for _, relative in sizes), default=None),
        what=_how_many(len(found), before),
        before=old.prediction,
        after=new.prediction,
    )


def _another_form(before: Answered, after: Answered) -> str:
    """In words, why the answers cannot be compared number by number."""
    if before.status != after.status:
        return f"{_status(before)} before, now {_status(after)}"
    if before.form != after.form or len(before.values) != len(after.values):
        return f"another form: {_values(before.count)} before, now {_values(after.count)}"
    return ""


def _status(answered: Answered) -> str:
    return "answered" if answered.status == 200 else f"refused with {answered.status}"


def _values(count: int) -> str:
    return f"{count} value{'' if count == 1 else 's'}"


def _how_many(moved: int, answered: Answered) -> str:
    looked = len(answered.values)
    kept = "" if looked == answered.count else f" that were kept, of {answered.count}"
    return f"{moved} of {_values(looked)}{kept}"


def _differing(
    before: Sequence[Scalar], after: Sequence[Scalar], rtol: float, atol: float
) -> Iterator[tuple[float, float] | None]:
    """How far apart each two values are, absolutely and relatively; None where that is no matter of size."""
    for old, new in zip(before, after, strict=True):
        if not (_is_float(old) and _is_number(new)) and not (_is_number(old) and _is_float(new)):
            if old != new or type(old) is not type(new):
                yield _size(old, new) if _is_number(old) and _is_number(new) else None
        elif not _apart(old, new) <= atol + rtol * abs(_real(old)):
            yield _size(old, new)


def _size(old: Scalar, new: Scalar) -> tuple[float, float] | None:
    """The absolute move, and its share of the larger value; None where one of the two is not finite."""
    apart = _apart(old, new)
    if not math.isfinite(apart):
        return None
    return apart, apart / max(abs(_real(old)), abs(_real(new)))


def _apart(old: Scalar, new: Scalar) -> float:
    return abs(_real(new) - _real(old))


def _is_number(value: Scalar) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_float(value: Scalar) -> bool:
    return isinstance(value, float)


def _real(value: Scalar) -> float:
    """A JSON integer may be too large for a double."""
    try:
        return float(value or 0.0)
    except OverflowError:
        return math.inf
