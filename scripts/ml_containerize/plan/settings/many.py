"""Settings of several values: a *List* has one item a line, a *CSV* also takes commas."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from ml_containerize.plan.settings.kinds import Kind
from ml_containerize.plan.settings.problems import Part, Problem, Wrong, wrong
from ml_containerize.results import Json

T = TypeVar("T")


def each(items: Iterable[tuple[Part, Any]], read: Callable[[Any], T]) -> list[T]:
    """Read every item, so that all that are wrong are reported."""
    values: list[T] = []
    problems: list[Problem] = []
    for part, item in items:
        try:
            values.append(read(item))
        except Wrong as error:
            problems += [problem.under(part) for problem in error.problems]
    if problems:
        raise Wrong(*problems)
    return values


@dataclass(frozen=True, slots=True)
class Items(Kind):
    """Several values of one kind, in their order; a repeated one counts once."""

    unset: ClassVar[object] = ()

    item: Kind
    commas: bool = False
    collect: Callable[[Iterable[Any]], object] = tuple

    def text(self, text: str) -> object:
        parts = re.split(r"[\n,]" if self.commas else r"\n", text)
        texts = [part.strip() for part in parts if part.strip()]
        return self._collect(texts, self.item.text)

    def yaml(self, value: object) -> object:
        if isinstance(value, str):
            return self.text(value)
        if not isinstance(value, list):
            raise wrong("a list", value)
        return self._collect(value, self.item.yaml)

    def _collect(self, items: Iterable[object], read: Callable[[Any], object]) -> object:
        return self.collect(dict.fromkeys(each(enumerate(items), read)))

    def schema(self) -> Json:
        return {"anyOf": [{"type": "array", "items": self.item.schema()}, {"type": "string"}]}

    def label(self) -> str:
        return "CSV" if self.commas else "List"


@dataclass(frozen=True, slots=True)
class Pairs(Kind):
    """Texts by key; `check` refuses a key by raising Wrong."""

    unset: ClassVar[Mapping[str, str]] = {}

    check: Callable[[str], None]

    def text(self, text: str) -> Mapping[str, str]:
        lines = (line.strip() for line in text.splitlines())
        return dict(each(enumerate(line for line in lines if line), self._pair))

    def yaml(self, value: object) -> Mapping[str, str]:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return dict(each(enumerate(value), self._pair))
        if isinstance(value, dict):
            return dict(each(((key, (key, item)) for key, item in value.items()), self._member))
        raise wrong("a mapping or a list of key=value", value)

    def _pair(self, line: object) -> tuple[str, str]:
        key, equals, value = line.partition("=") if isinstance(line, str) else ("", "", "")
        if not equals:
            raise wrong("key=value", line)
        self.check(key.strip())
        return key.strip(), value.strip()

    def _member(self, pair: tuple[str, object]) -> tuple[str, str]:
        key, value = pair
        if not isinstance(value, str):
            raise wrong("a text", value, "; write it in quotes")
        self.check(key)
        return key, value

    def schema(self) -> Json:
        texts = {"type": "object", "additionalProperties": {"type": "string"}}
        return {"anyOf": [texts, {"type": "array", "items": {"type": "string"}}, {"type": "string"}]}

    def label(self) -> str:
        return "List"
