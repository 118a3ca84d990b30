"""What a case was answered, in a bounded number of values: a later image's answer is compared with them.

Of a large answer every n-th element is kept; answers of one form keep the same elements.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

from ml_containerize.results import Answered, CaseResult, Json, Scalar

_KEPT = 1024  # values of one answer
_KEPT_IN_ALL = 64 * 1024  # values of all answers: a proof stays below the size that a reader takes
_LONGEST = 100  # characters of a text; of a longer one its hash is kept


def request_hash(request: Json) -> str:
    """SHA-256 of a request's canonical JSON: what is asked, however its file is written."""
    text = json.dumps(request, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def answered(status: int, content: object) -> Answered:
    """Of an answer its predictions, of a refusal that it was one: its words may change."""
    predictions = content.get("predictions") if status == 200 and isinstance(content, dict) else None
    values = list(_leaves(predictions))
    step = max(1, math.ceil(len(values) / _KEPT))
    form = json.dumps(_form(predictions), sort_keys=True, separators=(",", ":"))
    return Answered(
        status=status,
        form=hashlib.sha256(form.encode()).hexdigest(),
        count=len(values),
        values=tuple(map(_bounded, values[::step])),
    )


def within_bounds(cases: Iterable[CaseResult]) -> tuple[CaseResult, ...]:
    """The cases, without the answers of those that come after there were too many values in all."""
    kept, bounded = 0, []
    for case in cases:
        kept += len(case.answered.values) if case.answered else 0
        bounded.append(case if kept <= _KEPT_IN_ALL else replace(case, answered=None))
    return tuple(bounded)


def _leaves(value: object) -> Iterator[object]:
    if isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    elif isinstance(value, dict):
        for key in sorted(value):
            yield from _leaves(value[key])
    else:
        yield value


def _form(value: object) -> object:
    """The value's keys and lengths; a list of scalars is its length, a list of equal rows one of them."""
    if isinstance(value, dict):
        return {key: _form(item) for key, item in value.items()}
    if not isinstance(value, list):
        return 0
    forms = [_form(item) for item in value]
    same = all(form == forms[0] for form in forms)
    return [len(value), forms[0] if same and forms else forms]


def _bounded(value: object) -> Scalar:
    """A value as JSON has it; numbers that it does not have become texts."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value if _is_finite(value) else str(float(value))
    text = str(value)
    return text if len(text) <= _LONGEST else f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer that is too large for a double
        return True
