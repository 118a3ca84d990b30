"""Whether a UBJSON file is whole; nothing of its values is kept (https://ubjson.org, draft 12)."""

from __future__ import annotations

import struct
from pathlib import Path

from serving.errors import ModelUnusable

_SIZES = {b"Z": 0, b"T": 0, b"F": 0, b"N": 0, b"i": 1, b"U": 1, b"C": 1}
_SIZES |= {b"I": 2, b"l": 4, b"d": 4, b"L": 8, b"D": 8}
_LENGTHS = {b"i": ">b", b"U": ">B", b"I": ">h", b"l": ">i", b"L": ">q"}


def check_whole(path: Path) -> None:
    """Walk from value to value up to the end of the file; raises ModelUnusable where it is damaged."""
    data = path.read_bytes()
    if data[:1] == b"{":
        try:
            if _after_value(data, 0) == len(data):
                return
        except (KeyError, struct.error, RecursionError):
            pass
    raise ModelUnusable(f"{path.name} is no whole UBJSON file; it was damaged or cut off")


def _after_value(data: bytes, at: int) -> int:
    """The index after the value that begins at `at`, its type's letter included."""
    return _after_payload(data, at + 1, data[at : at + 1])


def _after_payload(data: bytes, at: int, kind: bytes) -> int:
    if kind in (b"{", b"["):
        return _after_container(data, at, kind == b"{")
    if kind in (b"S", b"H"):
        return _after_text(data, at)
    return at + _SIZES[kind]


def _after_container(data: bytes, at: int, named: bool) -> int:
    """Walk an object or a list; with `$type#count` it has no closing bracket, and its values no letters."""
    kind = count = None
    if data[at : at + 1] == b"$":
        kind, at = data[at + 1 : at + 2], at + 2
    if data[at : at + 1] == b"#":
        at, count = _length(data, at + 1)
        if kind in _SIZES and not named:
            return at + count * _SIZES[kind]
    elif kind is not None:
        raise KeyError("a type without a count")
    end = b"}" if named else b"]"
    bracketed = count is None
    while count or (bracketed and data[at : at + 1] != end):
        at = _after_text(data, at) if named else at
        at = _after_value(data, at) if kind is None else _after_payload(data, at, kind)
        count = count - 1 if count else None
    return at + bracketed


def _after_text(data: bytes, at: int) -> int:
    at, length = _length(data, at)
    return at + length


def _length(data: bytes, at: int) -> tuple[int, int]:
    """The index after a length, and the length; raises KeyError for another type, or a negative one."""
    form = _LENGTHS[data[at : at + 1]]
    (length,) = struct.unpack_from(form, data, at + 1)
    if length < 0:
        raise KeyError(length)
    return at + 1 + struct.calcsize(form), length
