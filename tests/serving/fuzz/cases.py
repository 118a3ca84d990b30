"""Requests that are almost right: valid ones with a value, or a piece of their text, replaced by another."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from serving.doors import Predict, Task, rows, v1, v2
from serving.errors import Refused
from serving.http import Answer, Request
from serving.served import Served
from serving.signature import TensorSpec
from serving.tensors import numpy_dtype
from tests.serving.doors.models import echo, person, serve

MODELS: tuple[Served, ...] = (
    echo("float32", 2, max_rows=4),
    echo("int64", None, max_rows=4),
    echo("string", max_rows=4),
    echo("bool", 1, max_rows=4),
    echo("json", max_rows=4),
    serve({"x": ("float16", None)}, {"y": ("float16", None)}, lambda x: {"y": x}),
    serve({"x": ("uint8", (2, 1))}, {"y": ("uint8", (2, 1))}, lambda x: {"y": x}),
    serve({"x": ("bfloat16", (None, 2))}, {"y": ("float32", (None, 2))}, lambda x: {"y": x}),
    person(),
)

_ROWS: tuple[Any, ...] = (
    [[1, 2.5], [3, 4]],
    [[1]],
    ["a", {"b64": "/w=="}],
    [[True], [False]],
    [{"a": [1, None]}, 2],
    [{"x": [1, 2]}],
    [{"age": 1, "text": "a"}, {"age": 2, "text": "b"}],
)
_TENSORS: tuple[Any, ...] = (
    {"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [1, 2.5, 3, 4]},
    {"name": "x", "shape": [1, 1], "datatype": "INT64", "data": [[1]]},
    {"name": "x", "shape": [2], "datatype": "BYTES", "data": ["1", '{"a": null}']},
    {"name": "x", "shape": [2, 1], "datatype": "BOOL", "data": [True, False]},
    {"name": "x", "shape": [1, 1, 2], "datatype": "FP16", "data": [[[1, 2]]]},
    {"name": "x", "shape": [2, 1], "datatype": "UINT8", "data": [1, 255]},
    {"name": "x", "shape": [1, 2], "datatype": "BF16", "data": [1, 2]},
)
_PERSON: Any = [
    {"name": "age", "shape": [1], "datatype": "INT32", "data": [1]},
    {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["a"]},
]
DOORS: dict[str, tuple[Predict, tuple[Any, ...]]] = {
    "predict": (rows.predict, tuple({key: value} for key in ("instances", "data") for value in _ROWS)),
    "v1": (
        v1.predict,
        (
            *({"instances": value, "signature_name": "serving_default"} for value in _ROWS),
            *({"inputs": value} for value in _ROWS),
            {"inputs": {"age": [1, 2], "text": ["a", {"b64": ""}]}, "parameters": {}},
            {"inputs": {"x": [[1, 2]]}},
        ),
    ),
    "v2": (
        v2.infer,
        (
            *({"inputs": [tensor]} for tensor in _TENSORS),
            {"inputs": _PERSON, "outputs": [{"name": "loud", "parameters": {"binary_data": True}}]},
            {"id": "7", "inputs": [_TENSORS[0]], "parameters": {"binary_data_output": True}},
            {"inputs": [_TENSORS[1]], "outputs": [{"name": "y"}], "model_name": "m", "model_version": "1"},
        ),
    ),
}
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 5, 1.0, 1.5, -0.0, 1e-320, 1e39, 1e308, math.nan, math.inf, -math.inf),
    *(255, 256, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**400),
    *("", "a", "1", "x", "age", "ä", "\ud800", "\0", "b64", "FP32", "FP64", "INT64", "BYTES", "BOOL", "NaN"),
    *([], {}, [[]], [1], [1, 2], [[1, 2]], [[[1]]], ["a"], [True], [None], {"b64": "?"}, {"b64": "YQ=="}),
    *({"x": 1}, {"": []}, {"binary_data_size": 4}, {"age": 1, "text": "a"}, [1] * 5, [[1, 2]] * 5),
)
KEYS = ("instances", "inputs", "data", "x", "outputs", "parameters", "name", "b64", "age", "")
FRAGMENTS: tuple[bytes, ...] = (
    *(
        b"",
        b" ",
        b"[",
        b"]",
        b"{",
        b"}",
        b",",
        b":",
        b'"',
        b"\\",
        b"\0",
        b"\xff",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
    ),
    *(
        b"null",
        b"true",
        b"false",
        b"NaN",
        b"-Infinity",
        b"1e999",
        b"-",
        b"0",
        b"00",
        b".5",
        b"1.",
        b"9" * 400,
    ),
    *(
        b'"\\ud800"',
        b'"\\u0000"',
        b"[" * 40,
        b"[" * 2000,
        b'{"a":' * 2000,
        b'"data":[[1,2]],',
        b'"inputs":[],',
    ),
)


@dataclass(slots=True)
class Choices:
    """Bytes that decide, one after the other; when they are used up, the first of everything is chosen."""

    rest: bytes

    def number(self, below: int) -> int:
        number, self.rest = (self.rest[0] if self.rest else 0), self.rest[1:]
        return number % below

    def one_of(self, values: Sequence[Any]) -> Any:
        return values[self.number(len(values))]


def body(decisions: bytes, seeds: Sequence[Any]) -> bytes:
    """Two in three cases are valid requests with changes, the others JSON of any kind, or just bytes."""
    choices = Choices(decisions)
    kind = choices.number(9)
    if kind == 8:
        return choices.rest
    document = garbage(choices) if kind >= 6 else choices.one_of(seeds)
    for _ in range(choices.number(3)):
        document = replaced(document, choices.number(64), choices.one_of(VALUES))
    text = written(document)
    if kind % 3 == 2:
        text = spliced(text, choices.number(256), choices.number(4), choices.one_of(FRAGMENTS))
    return text


def garbage(choices: Choices, depth: int = 3) -> Any:
    """A JSON value of any kind."""
    kind = choices.number(4) if depth else 0
    if kind == 1:
        return [garbage(choices, depth - 1) for _ in range(choices.number(4))]
    if kind == 2:
        return {choices.one_of(KEYS): garbage(choices, depth - 1) for _ in range(choices.number(4))}
    return choices.one_of(VALUES)


def replaced(document: Any, at: int, value: Any) -> Any:
    """The document with another value at the place of that number, depth first."""
    document = copy.deepcopy(document)
    places = list(_places(document))
    if not places:
        return value
    owner, key = places[at % len(places)]
    owner[key] = value
    return document


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    keys: Sequence[Any] = ()
    if isinstance(value, (dict, list)):
        keys = list(value) if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield value, key
        yield from _places(value[key])


def written(document: Any) -> bytes:
    """As a careless client writes it, with NaN and halves of surrogate pairs."""
    return json.dumps(document).encode()


def spliced(body: bytes, at: int, length: int, fragment: bytes) -> bytes:
    """The body with other bytes in the place of some of its own."""
    start = at % (len(body) + 1)
    return body[:start] + fragment + body[start + length :]


def check(
    predict: Predict,
    served: Served,
    body: bytes,
    headers: Mapping[str, str] | None = None,
    *,
    finite: bool = True,
) -> bool:
    """A task that fits the model and an answer to it, or a refusal that says what and where: nothing else.

    True where a task came of it; `finite` says whether the protocol carries finite numbers only.
    """
    try:
        task = predict(served, Request("POST", "/", headers or {}, body))
    except Refused as refused:
        check_refusal(refused)
        return False
    check_task(task, served)
    assert is_finite(task) or not finite
    with np.errstate(all="ignore"):
        outputs = served.model.predict(task.batch, task.signature)
    try:
        check_answer(task.write(outputs))
    except Refused as refused:
        check_refusal(refused)
    return True


def check_refusal(refused: Refused) -> None:
    assert 400 <= refused.status < 500
    assert refused.reason
    assert refused.field or refused.reason.startswith(("the body is ", "unknown key ''")), refused.reason
    assert orjson.dumps(refused.as_json())


def check_answer(answer: Answer) -> None:
    length = int(dict(answer.headers).get("Inference-Header-Content-Length", len(answer.body)))
    assert answer.status == 200
    assert type(orjson.loads(answer.body[:length])) is dict


def check_task(task: Task, served: Served) -> None:
    signature = served.model.signatures[task.signature]
    assert list(task.batch) == [spec.name for spec in signature.inputs]
    assert 1 <= task.rows <= served.max_rows
    for spec in signature.inputs:
        array = task.batch[spec.name]
        assert len(array) == task.rows
        assert array.dtype == numpy_dtype(spec.dtype)
        assert array.size
        _check_shape(array.shape, spec)
        if spec.dtype == "string":
            assert all(type(value) is bytes for value in array.reshape(-1))


def _check_shape(shape: tuple[int, ...], spec: TensorSpec) -> None:
    if spec.shape is not None:
        assert len(shape) == len(spec.shape)
        assert all(own in (None, size) for own, size in zip(spec.shape, shape, strict=True))


def is_finite(task: Task) -> bool:
    return all(array.dtype.kind != "f" or bool(np.isfinite(array).all()) for array in task.batch.values())
