"""JSON documents that came from elsewhere: parsed strictly, written canonically."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from ml_containerize.errors import BuildError, UsageError
from ml_containerize.names import Digest

Json = dict[str, Any]
_T = TypeVar("_T")


class MalformedContent(BuildError):
    """A manifest, configuration or layer does not follow its specification."""

    def __init__(self, what: str, fix: str = "Pull the image again, or choose another one.") -> None:
        super().__init__(what, fix)


def canonical(document: Mapping[str, Any]) -> bytes:
    """One spelling for one document: sorted keys, no spaces, UTF-8."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def parse_object(body: bytes, where: str) -> Json:
    """Read a JSON object; raises MalformedContent."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedContent(f"The {where} is not JSON: {error}") from error
    return expect(value, dict, where)


def expect(value: object, kind: type[_T], where: str) -> _T:
    """The value itself where it has the type; raises MalformedContent that names the place."""
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise MalformedContent(f"Expected {kind.__name__} in {where}, got {type(value).__name__}")
    return value


def expect_strings(value: object, where: str) -> dict[str, str]:
    """An object whose values are all strings, absent (None) being empty."""
    members = expect(value, dict, where) if value is not None else {}
    return {key: expect(member, str, f"{where}.{key}") for key, member in members.items()}


def expect_digest(value: object, where: str) -> Digest:
    """A `sha256:…` digest; raises MalformedContent for other algorithms too."""
    text = expect(value, str, where)
    try:
        return Digest.parse(text)
    except UsageError as error:
        raise MalformedContent(f"In {where}: {error.what}") from error
