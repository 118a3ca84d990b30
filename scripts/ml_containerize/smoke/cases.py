"""Smoke cases: recorded requests, with the answers that the image must repeat.

A case is one JSON file:

    {
      "request": {"data": [[0.0, 0.5]]},               what is sent to POST /predict
      "expect":  {"predictions": [[0.1, 0.9]],         every key here must be in the answer and match
                  "labels": ["seven"]},
      "rtol": 1e-4, "atol": 1e-6,                      allowed: |got - expected| <= atol + rtol * |expected|
      "status": 200                                    400 to 499: the server must refuse the request
    }

`rtol`, `atol` and `status` may be left out, and so may `expect` where a refusal is expected. NaN and Infinity
are not JSON (RFC 8259, section 6) and are refused; a string such as "NaN" is a string like any other and must
be equal.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ml_containerize.errors import UsageError
from ml_containerize.results import Json

DEFAULT_RTOL = 1e-4
DEFAULT_ATOL = 1e-6
_KEYS = ("request", "expect", "rtol", "atol", "status")


class BadCases(UsageError):
    """Smoke case files that cannot be used; every problem in every file is named."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(
            "\n".join(("the smoke cases cannot be used:", *(f"  {problem}" for problem in problems))),
            "Correct the files, or write them anew with `ml-containerize record`.",
        )
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far a floating-point number may be off, as numpy.isclose has it."""

    rtol: float = DEFAULT_RTOL
    atol: float = DEFAULT_ATOL

    def allowed(self, expected: float) -> float:
        return self.atol + self.rtol * abs(expected)


@dataclass(frozen=True, slots=True)
class Case:
    """One request and what the answer must be."""

    name: str
    request: Json
    expect: Json = field(default_factory=dict)
    tolerance: Tolerance = Tolerance()
    status: int = 200

    def as_json(self) -> Json:
        """The case as its file holds it."""
        content: Json = {
            "request": self.request,
            "expect": self.expect,
            "rtol": self.tolerance.rtol,
            "atol": self.tolerance.atol,
        }
        return content if self.status == 200 else {**content, "status": self.status}


def load_cases(paths: Sequence[Path]) -> tuple[Case, ...]:
    """Read and check every file; raises BadCases with all problems at once."""
    cases, problems = [], []
    for path, name in zip(paths, _names(paths), strict=True):
        try:
            cases.append(parse_case(name, path.read_bytes()))
        except BadCases as error:
            problems += [f"{path.name}: {problem}" for problem in error.problems]
        except OSError as error:
            problems.append(f"{path.name}: cannot be read: {error.strerror}")
    if problems:
        raise BadCases(problems)
    return tuple(cases)


def parse_case(name: str, text: bytes) -> Case:
    """Read one case file's content; raises BadCases."""
    content, problems = parse_json(text)
    problems += list(_problems(content)) if not problems else []
    if problems:
        raise BadCases(problems)
    return Case(
        name=name,
        request=content["request"],
        expect=content.get("expect", {}),
        tolerance=Tolerance(content.get("rtol", DEFAULT_RTOL), content.get("atol", DEFAULT_ATOL)),
        status=content.get("status", 200),
    )


def parse_json(text: bytes) -> tuple[Any, list[str]]:
    """JSON as RFC 8259 has it, with what is wrong: syntax, encoding, a key given twice."""
    problems: list[str] = []

    def unique(pairs: list[tuple[str, Any]]) -> Json:
        keys = [key for key, _ in pairs]
        problems.extend(f"the key {key!r} is given twice" for key in _repeated(keys))
        return dict(pairs)

    try:
        return json.loads(text.decode(), object_pairs_hook=unique), problems
    except UnicodeDecodeError as error:
        return None, [f"not UTF-8 at byte {error.start}"]
    except json.JSONDecodeError as error:
        return None, [f"not JSON at line {error.lineno}, column {error.colno}: {error.msg}"]
    except RecursionError:
        return None, ["not JSON that can be read: it is nested too deeply"]


def _repeated(keys: Sequence[str]) -> list[str]:
    return sorted({key for key in keys if keys.count(key) > 1}) if len(set(keys)) < len(keys) else []


def _names(paths: Sequence[Path]) -> list[str]:
    """Each file's stem; where two files share one, the folder's name stands before it."""
    stems = [path.stem for path in paths]
    return [f"{path.parent.name}/{path.stem}" if stems.count(path.stem) > 1 else path.stem for path in paths]


def _problems(content: object) -> Iterator[str]:
    if not isinstance(content, dict):
        yield f"must be an object with the keys request and expect, not {kind_of(content)}"
        return
    yield from (_unknown_key(key) for key in content if key not in _KEYS)
    yield from _request_problems(content)
    yield from _status_problems(content)
    yield from _expect_problems(content)
    yield from _tolerance_problems(content)


def _unknown_key(key: str) -> str:
    near = difflib.get_close_matches(key, _KEYS, 1)
    return f"{key!r} is not a key of a smoke case" + (
        f"; perhaps you meant {near[0]!r}" if near else f" (they are {', '.join(_KEYS)})"
    )


def _request_problems(content: Json) -> Iterator[str]:
    if "request" not in content:
        yield "request is missing: the JSON body that is sent to /predict"
    elif not isinstance(content["request"], dict):
        yield f'request must be an object such as {{"data": [...]}}, not {kind_of(content["request"])}'
    else:
        yield from _not_finite("request", content["request"])


def _status_problems(content: Json) -> Iterator[str]:
    status = content.get("status", 200)
    if type(status) is not int or not (status == 200 or 400 <= status < 500):
        yield f"status must be 200, or 400 to 499 for a request to refuse, not {json.dumps(status)}"


def _expect_problems(content: Json) -> Iterator[str]:
    expect = content.get("expect", {})
    if not isinstance(expect, dict):
        yield f'expect must be an object such as {{"predictions": [...]}}, not {kind_of(expect)}'
        return
    if content.get("status", 200) == 200 and "predictions" not in expect:
        yield "expect.predictions is missing: what the model must answer"
    elif expect.get("predictions") in ([], {}):
        yield "expect.predictions is empty and would prove nothing"
    for key, value in expect.items():
        yield from _not_finite(f"expect.{key}", value)
        yield from _mixed(f"expect.{key}", value)


def _tolerance_problems(content: Json) -> Iterator[str]:
    for key in ("rtol", "atol"):
        value = content.get(key, 0)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            yield f"{key} must be a number, not {json.dumps(value)}"
        elif value < 0:
            yield f"{key} must not be negative, and is {value}"
        elif key == "rtol" and value >= 1:
            yield f"rtol must be less than 1, and is {value}: an answer of all zeros would pass"


def _not_finite(path: str, value: object) -> Iterator[str]:
    """Numbers that JSON does not have, and numbers too large to be one, with their places."""
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{path} is {value}, which is not a JSON number"
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _not_finite(f"{path}[{index}]", item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _not_finite(f"{path}.{key}", item)


def _mixed(path: str, value: object) -> Iterator[str]:
    """Lists that hold lists and other values side by side have no shape."""
    if isinstance(value, list):
        nested = [isinstance(item, list) for item in value]
        if any(nested) and not all(nested):
            yield f"{path}[{nested.index(False)}] is not a list as {path}[{nested.index(True)}] is"
        else:
            for index, item in enumerate(value):
                yield from _mixed(f"{path}[{index}]", item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _mixed(f"{path}.{key}", item)


def kind_of(value: object) -> str:
    """A JSON value's kind in words, for messages."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
