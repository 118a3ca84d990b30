"""The types that a setting can have: how text and YAML become its value, and its JSON Schema.

Text comes from flags, environment variables and action inputs; YAML has types of its own and is held to them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ml_containerize.errors import UsageError
from ml_containerize.plan.settings.problems import nearest, wrong
from ml_containerize.plan.settings.secret import Secret
from ml_containerize.results import Json


@dataclass(frozen=True, slots=True)
class Kind:
    """A text."""

    unset: ClassVar[object] = ""  # the value where nobody said anything and there is no default

    def text(self, text: str) -> object:
        return text

    def yaml(self, value: object) -> object:
        if isinstance(value, str):
            return self.text(value)
        advice = "; write it in quotes" if isinstance(value, bool | int | float) else ""
        raise wrong("a text", value, advice)

    def schema(self) -> Json:
        return {"type": "string"}

    def label(self) -> str:
        """The type's name in the README's table."""
        return "String"


@dataclass(frozen=True, slots=True)
class Boolean(Kind):
    """Strictly `true` or `false`."""

    def text(self, text: str) -> bool:
        if text not in {"true", "false"}:
            raise wrong("true or false", text)
        return text == "true"

    def yaml(self, value: object) -> bool:
        if not isinstance(value, bool):
            raise wrong("true or false", value)
        return value

    def schema(self) -> Json:
        return {"type": "boolean"}

    def label(self) -> str:
        return "Bool"


@dataclass(frozen=True, slots=True)
class Switch(Kind):
    """`auto`, `true` or `false`."""

    def text(self, text: str) -> bool | str:
        if text not in {"auto", "true", "false"}:
            raise wrong("auto, true or false", text)
        return text if text == "auto" else text == "true"

    def yaml(self, value: object) -> object:
        return value if isinstance(value, bool) else Kind.yaml(self, value)

    def schema(self) -> Json:
        return {"enum": ["auto", True, False]}


@dataclass(frozen=True, slots=True)
class Choice(Kind):
    """One of a few words."""

    words: tuple[str, ...]

    def text(self, text: str) -> str:
        if text not in self.words:
            raise wrong(f"one of {', '.join(self.words)}", text, nearest(text, self.words))
        return text

    def schema(self) -> Json:
        return {"enum": list(self.words)}


@dataclass(frozen=True, slots=True)
class Number(Kind):
    """A finite number in a range; `whole` asks for an integer."""

    unset: ClassVar[object] = None

    expected: str
    minimum: float = 0
    maximum: float = math.inf
    whole: bool = False

    def text(self, text: str) -> float:
        if not re.fullmatch(r"-?[0-9]{1,15}" if self.whole else r"-?[0-9]{1,15}(\.[0-9]+)?", text):
            raise wrong(self.expected, text)
        return self._within(int(text) if self.whole else float(text))

    def yaml(self, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            raise wrong(self.expected, value)
        return self._within(value if self.whole else float(value))

    def _within(self, value: float) -> float:
        if not self.minimum <= value <= self.maximum:
            raise wrong(self.expected, value)
        return value

    def schema(self) -> Json:
        bounds = {"minimum": self.minimum} | ({"maximum": self.maximum} if self.maximum < math.inf else {})
        return {"type": "integer" if self.whole else "number", **bounds}

    def label(self) -> str:
        return "Number"


@dataclass(frozen=True, slots=True)
class Parsed(Kind):
    """A text that `parse` turns into a value, or refuses with UsageError or ValueError."""

    expected: str
    parse: Callable[[str], object]

    def text(self, text: str) -> object:
        try:
            return self.parse(text)
        except (UsageError, ValueError) as error:
            raise wrong(self.expected, text) from error


@dataclass(frozen=True, slots=True)
class Pattern(Kind):
    """A text of a certain form."""

    expected: str
    pattern: str

    def text(self, text: str) -> str:
        if not re.fullmatch(self.pattern, text, re.ASCII):
            raise wrong(self.expected, text)
        return text

    def schema(self) -> Json:
        return {"type": "string", "pattern": f"^(?:{self.pattern})$"}


@dataclass(frozen=True, slots=True)
class FilePath(Kind):
    """A path, still relative to the project or to the current folder."""

    unset: ClassVar[object] = None

    def text(self, text: str) -> Path:
        if "\0" in text:
            raise wrong("a path", text)
        return Path(text)


@dataclass(frozen=True, slots=True)
class Password(Kind):
    """A secret; never shown."""

    unset: ClassVar[object] = Secret()

    def text(self, text: str) -> Secret:
        return Secret(text)
