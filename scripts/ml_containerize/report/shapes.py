"""JSON from elsewhere as the frozen values that it was written from, by their own annotations."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from ml_containerize.errors import UsageError
from ml_containerize.names import Digest

_T = TypeVar("_T")
_LARGEST = 2**63  # no size, time or count is larger


class Misshapen(ValueError):
    """A value is not what its place asks for: "record.stages[2].seconds: expected float"."""

    def __init__(self, where: str, expected: str) -> None:
        super().__init__(f"{where}: expected {expected}")


def read_object(kind: type[_T], value: object, where: str) -> _T:
    """A dataclass from a JSON object; unknown keys are passed over, absent ones need a default."""
    members = _expect(value, dict, where)
    known = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    missing = [
        name
        for name, field in known.items()
        if name not in members
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise Misshapen(f"{where}.{missing[0]}", "a value")
    hints = _hints(cast("Any", kind))
    return kind(
        **{name: _read(hints[name], members[name], f"{where}.{name}") for name in known if name in members}
    )


@cache
def _hints(kind: Any) -> Mapping[str, Any]:
    return get_type_hints(kind)


def _read(kind: Any, value: object, where: str) -> Any:
    if dataclasses.is_dataclass(kind) and isinstance(kind, type) and kind is not Digest:
        return read_object(kind, value, where)
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _read_one_of(inner, value, where)
    if origin is tuple:
        items = _expect(value, list, where)
        return tuple(_read(inner[0], item, f"{where}[{n}]") for n, item in enumerate(items))
    if origin in (Mapping, dict):
        return {key: _read(inner[1], item, where) for key, item in _expect(value, dict, where).items()}
    return value if kind is Any else _read_plain(kind, value, where)


def _read_one_of(kinds: tuple[Any, ...], value: object, where: str) -> Any:
    """A value of the first kind that it has the shape of."""
    others = [kind for kind in kinds if kind is not NoneType]
    if value is None and len(others) < len(kinds):
        return None
    for kind in others[:-1]:
        try:
            return _read(kind, value, where)
        except Misshapen:
            continue
    return _read(others[-1], value, where)


def _read_plain(kind: type, value: object, where: str) -> Any:
    if kind is Digest or issubclass(kind, Enum):
        text = _expect(value, str, where)
        try:
            return Digest.parse(text) if kind is Digest else kind(text)
        except (UsageError, ValueError) as error:
            raise Misshapen(where, f"a {kind.__name__.lower()}") from error
    if kind in (int, float):
        return _read_number(kind, value, where)
    return _expect(value, kind, where)


def _read_number(kind: type, value: object, where: str) -> int | float:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not (whole or (kind is float and isinstance(value, float) and math.isfinite(value))):
        raise Misshapen(where, kind.__name__)
    if abs(value) >= _LARGEST:  # type: ignore[arg-type]
        raise Misshapen(where, "a number below 2^63")
    return value  # type: ignore[return-value]


def _expect(value: object, kind: type[_T], where: str) -> _T:
    if not isinstance(value, kind):
        raise Misshapen(where, kind.__name__)
    return value
