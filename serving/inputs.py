"""A request's body becomes a batch of arrays, or a refusal that names the field.

orjson reads JSON as RFC 8259 has it: no NaN, no infinity, no half of a surrogate pair, 1024 levels at most.
Of a key that appears twice it takes the last.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson

from serving.errors import BadRequest, Refused
from serving.signature import Signature, TensorSpec
from serving.tensors import Tensor, Where, is_base64, json_name, tensor

KEYS = ("instances", "data")
LONGEST_SECOND_READING = 2**20  # bytes; more would hold up other requests for the sake of a wrong one

Batch = dict[str, Tensor]
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed body; `plain` where it holds no boolean, so that numbers need not be told from booleans."""

    value: Any
    plain: bool


def read_json(body: bytes, read: Callable[[Document], Value]) -> Value:
    """What `read` makes of the body; raises BadRequest where it is not JSON, and what `read` raises."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _not_json(body, read, error) from None
    return read(Document(value, _is_plain(body)))


def _is_plain(body: bytes) -> bool:
    """One letter is sought ten times as fast as a word."""
    return not ((b"u" in body and b"true" in body) or (b"l" in body and b"false" in body))


def _not_json(body: bytes, read: Callable[[Document], Any], error: orjson.JSONDecodeError) -> Refused:
    """Python's own reader takes NaN, infinities and numbers of any size: it helps to name what holds them."""
    if not body:
        return BadRequest("the body is empty")
    try:
        text = body.decode("utf-8")
        if len(body) <= LONGEST_SECOND_READING:
            read(Document(json.loads(text), plain=False))
    except UnicodeDecodeError as undecodable:
        return BadRequest(f"the body is not UTF-8 (byte {undecodable.start})")
    except Refused as refused:
        if refused.field and _is_text(refused.field + refused.reason):
            return refused
    except (ValueError, RecursionError):
        pass
    return BadRequest(f"the body is not JSON: {error}")


def _is_text(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def parse_batch(body: bytes, signature: Signature, max_rows: int) -> Batch:
    """Read `{"instances": [row, …]}` or `{"data": [row, …]}` into one array per input, rows first.

    A row is the input's value, or an object keyed by input name where the model has several inputs.
    Raises BadRequest.
    """
    return read_json(body, lambda document: _batch(document, signature, max_rows))


def _batch(document: Document, signature: Signature, max_rows: int) -> Batch:
    key, rows = one_of(members(document.value, KEYS), KEYS)
    return rows_batch(key, rows, signature, max_rows, plain=document.plain)


def members(value: Any, known: Sequence[str], field: str = "") -> dict[str, Any]:
    """The object at `field`, "" for the body; BadRequest where it is none, or has a key not in `known`."""
    if type(value) is not dict:
        raise BadRequest(f"{'' if field else 'the body '}is {json_name(value)}, expected an object", field)
    for key in value:
        if key not in known:
            expected = " or ".join(map(repr, known)) or "none"
            raise BadRequest(f"unknown key {key!r}, expected {expected}", f"{field}.{key}" if field else key)
    return value


def one_of(document: Mapping[str, Any], keys: tuple[str, str]) -> tuple[str, Any]:
    """The one of two keys that a body has, and its value; BadRequest where it has both or none."""
    found = [key for key in keys if key in document]
    if len(found) != 1:
        first, second = map(repr, keys)
        problem = f"both {first} and {second}, send one" if found else f"neither {first} nor {second}"
        raise BadRequest(f"the body has {problem}", keys[1] if found else keys[0])
    return found[0], document[found[0]]


def rows_batch(key: str, rows: Any, signature: Signature, max_rows: int, *, plain: bool = False) -> Batch:
    """One array per input from a list of rows; `plain` promises that there is no boolean in them."""
    check_rows(rows, key, max_rows)
    only = signature.inputs[0] if len(signature.inputs) == 1 else None
    if only is not None and not _has_named_rows(rows, only):
        _check_nesting(key, rows, only)
        return {only.name: tensor(rows, only, element_of(key), plain=plain)}
    names = {spec.name for spec in signature.inputs}
    for index, row in enumerate(rows):
        _check_names(row, names, f"{key}[{index}]")
    return {
        spec.name: tensor(
            [row[spec.name] for row in rows], spec, element_of(key, f".{spec.name}"), plain=plain
        )
        for spec in signature.inputs
    }


def columns_batch(key: str, value: Any, signature: Signature, max_rows: int, *, plain: bool = False) -> Batch:
    """One array per input from all its rows: an object by input name, or a list where there is one input."""
    if type(value) is dict:
        _check_names(value, {spec.name for spec in signature.inputs}, key)
        columns = {spec: (f"{key}.{spec.name}", value[spec.name]) for spec in signature.inputs}
    elif len(signature.inputs) == 1:
        columns = {signature.inputs[0]: (key, value)}
    else:
        raise BadRequest(
            f"is {json_name(value)}, expected an object with the inputs {_names(signature)}", key
        )
    batch = {}
    for spec, (field, rows) in columns.items():
        check_rows(rows, field, max_rows)
        batch[spec.name] = tensor(rows, spec, element_of(field), plain=plain)
    check_agreement({columns[spec][0]: len(batch[spec.name]) for spec in columns})
    return batch


def check_rows(rows: Any, field: str, max_rows: int) -> None:
    """BadRequest where `rows` is no list of 1 to `max_rows`."""
    if type(rows) is not list:
        raise BadRequest(f"is {json_name(rows)}, expected a list of rows", field)
    if not rows:
        raise BadRequest("has no rows", field)
    if len(rows) > max_rows:
        raise BadRequest(f"has {len(rows)} rows, at most {max_rows} are answered at once", field)


def check_agreement(rows: Mapping[str, int]) -> None:
    """BadRequest where inputs, by the field they came in, have different numbers of rows."""
    (first, expected), *others = rows.items()
    for field, number in others:
        if number != expected:
            raise BadRequest(f"has {number} rows, but {first} has {expected}", field)


def _has_named_rows(rows: Sequence[Any], spec: TensorSpec) -> bool:
    """Are rows objects by input name, though there is one input? Not where an object can be its value."""
    if spec.dtype == "json":
        return False
    if spec.dtype == "string" and spec.name != "b64":
        return any(type(row) is dict and not is_base64(row) for row in rows)
    return dict in set(map(type, rows))


def _check_nesting(key: str, rows: Sequence[Any], spec: TensorSpec) -> None:
    if spec.row_shape and type(rows[0]) is not list and spec.row_shape[0] in (None, len(rows)):
        raise BadRequest("is one row, expected a list of rows: put it into one more pair of brackets", key)


def _check_names(row: Any, names: set[str], field: str) -> None:
    if type(row) is not dict:
        wanted = ", ".join(sorted(names))
        raise BadRequest(f"is {json_name(row)}, expected an object with the inputs {wanted}", field)
    if missing := sorted(names - row.keys()):
        raise BadRequest(f"lacks the input {missing[0]!r}", field)
    if unknown := sorted(row.keys() - names):
        wanted = ", ".join(sorted(names))
        raise BadRequest(f"unknown input {unknown[0]!r}, the model has {wanted}", f"{field}.{unknown[0]}")


def _names(signature: Signature) -> str:
    return ", ".join(spec.name for spec in signature.inputs)


def element_of(key: str, name: str = "") -> Where:
    """(3, 2) → "instances[3][2]", or "instances[3].pixels[2]" for a named input."""

    def where(index: tuple[int, ...]) -> str:
        if not index:
            return key
        return f"{key}[{index[0]}]{name}" + "".join(f"[{at}]" for at in index[1:])

    return where
