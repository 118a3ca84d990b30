"""A request's body becomes a batch of arrays, or a refusal that names the field."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from serving.errors import BadRequest
from serving.signature import Signature
from serving.tensors import Tensor, Where, json_name, tensor

KEYS = ("instances", "data")
Batch = dict[str, Tensor]


def parse_batch(body: bytes, signature: Signature, max_rows: int) -> Batch:
    """Read `{"instances": [row, …]}` or `{"data": [row, …]}` into one array per input, rows first.

    A row is the input's value, or an object keyed by input name where the model has several inputs.
    Raises BadRequest.
    """
    key, rows = _rows(_document(body))
    if not rows:
        raise BadRequest("has no rows", key)
    if len(rows) > max_rows:
        raise BadRequest(f"has {len(rows)} rows, at most {max_rows} are answered at once", key)
    if any(type(row) is dict for row in rows):
        return _named(key, rows, signature)
    return _plain(key, rows, signature)


def _document(body: bytes) -> Any:
    try:
        return json.loads(body.decode("utf-8"), object_pairs_hook=_unique)
    except UnicodeDecodeError as error:
        raise BadRequest(f"the body is not UTF-8 (byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise BadRequest(f"the body is not JSON: {error}") from error
    except RecursionError as error:
        raise BadRequest("the body is nested too deeply") from error
    except ValueError as error:  # Python's limit on the digits of an integer
        raise BadRequest("the body has a number with too many digits") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise BadRequest(f"the key {twice!r} appears twice in one object", twice)
    return value


def _rows(document: Any) -> tuple[str, list[Any]]:
    if type(document) is not dict:
        raise BadRequest(f'the body is {json_name(document)}, expected an object: {{"instances": [...]}}')
    unknown = sorted(set(document) - set(KEYS))
    if unknown:
        raise BadRequest(f"unknown key {unknown[0]!r}, expected 'instances' or 'data'", unknown[0])
    if len(document) != 1:
        problem = "both 'instances' and 'data', send one" if document else "neither 'instances' nor 'data'"
        raise BadRequest(f"the body has {problem}")
    key, rows = next(iter(document.items()))
    if type(rows) is not list:
        raise BadRequest(f"is {json_name(rows)}, expected a list of rows", key)
    return key, rows


def _plain(key: str, rows: Sequence[Any], signature: Signature) -> Batch:
    if len(signature.inputs) > 1:
        names = ", ".join(spec.name for spec in signature.inputs)
        raise BadRequest(f"is {json_name(rows[0])}, expected an object with the inputs {names}", f"{key}[0]")
    spec = signature.inputs[0]
    if spec.row_shape and type(rows[0]) is not list and spec.row_shape[0] in (None, len(rows)):
        raise BadRequest("is one row, expected a list of rows: put it into one more pair of brackets", key)
    return {spec.name: tensor(rows, spec, _where(key))}


def _named(key: str, rows: Sequence[Any], signature: Signature) -> Batch:
    names = {spec.name for spec in signature.inputs}
    for index, row in enumerate(rows):
        _check_names(row, names, f"{key}[{index}]")
    return {
        spec.name: tensor([row[spec.name] for row in rows], spec, _where(key, f".{spec.name}"))
        for spec in signature.inputs
    }


def _check_names(row: Any, names: set[str], field: str) -> None:
    if type(row) is not dict:
        raise BadRequest(f"is {json_name(row)}, expected an object like the other rows", field)
    if missing := sorted(names - row.keys()):
        raise BadRequest(f"lacks the input {missing[0]!r}", field)
    if unknown := sorted(row.keys() - names):
        wanted = ", ".join(sorted(names))
        raise BadRequest(f"unknown input {unknown[0]!r}, the model has {wanted}", f"{field}.{unknown[0]}")


def _where(key: str, name: str = "") -> Where:
    """(3, 2) → "instances[3][2]", or "instances[3].pixels[2]" for a named input."""

    def where(index: tuple[int, ...]) -> str:
        return f"{key}[{index[0]}]{name}" + "".join(f"[{at}]" for at in index[1:])

    return where
