"""What is wrong with a setting, said for all settings at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ml_containerize.errors import UsageError

Part = str | int  # a key or an index


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong; `path` leads to it inside its option, `where` names the option's source."""

    message: str
    path: tuple[Part, ...] = ()
    where: str = ""

    def under(self, part: Part) -> Problem:
        return replace(self, path=(part, *self.path))

    def at(self, where: str) -> Problem:
        return replace(self, where=where)

    def __str__(self) -> str:
        inside = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path)
        subject = f"{inside.removeprefix('.')}: " if inside else ""
        return f"{self.where}: {subject}{self.message}"


class Wrong(Exception):
    """A value that its option does not accept, with every reason."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(problem.message for problem in problems))
        self.problems = problems


class WrongSettings(UsageError):
    """Flags, environment variables or the config file do not say what can be done; all problems at once."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        count = "1 setting is" if len(problems) == 1 else f"{len(problems)} settings are"
        lines = "".join(f"\n  - {problem}" for problem in problems)
        super().__init__(
            f"{count} wrong:{lines}",
            "Correct what is listed; `ml-containerize schema` prints what the config file may say.",
        )
        self.problems = tuple(problems)


def describe(value: object) -> str:
    """A YAML value as a person would name it: `the number 3`, `a list`."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return repr(value)
        case int() | float():
            return f"the number {value}"
        case list():
            return "a list"
        case None:
            return "nothing"
    return "a mapping"


def wrong(expected: str, value: object, advice: str = "") -> Wrong:
    """`expected true or false, got 'yes'`."""
    return Wrong(Problem(f"expected {expected}, got {describe(value)}{advice}"))


def plain(word: str) -> str:
    return word.lower().replace("_", "-")


def nearest(word: str, known: Iterable[str]) -> str:
    """`; perhaps you meant 'severity'`, or nothing where no known word is near."""
    from difflib import get_close_matches

    words = {plain(candidate): candidate for candidate in known}
    found = get_close_matches(plain(word), list(words), 1, 0.6)
    return f"; perhaps you meant {words[found[0]]!r}" if found else ""
