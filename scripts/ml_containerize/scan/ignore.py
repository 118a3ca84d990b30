"""Ignore files in trivy's two forms: lines of `.trivyignore`, and YAML for files named `.yaml` or `.yml`.

Format: https://trivy.dev/docs/latest/configuration/filtering/. Trivy passes over what it cannot read; this
refuses it, because a mistyped key would otherwise hide more than its author meant to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import get_args

import yaml

from ml_containerize.errors import UsageError
from ml_containerize.scan.rules import Purl, Rule, Section, path_pattern

_KEYS = ("id", "paths", "purls", "expired_at", "statement")
_SECTIONS: tuple[Section, ...] = get_args(Section)


class MalformedIgnoreFile(UsageError):
    """An ignore file cannot be read; all its problems at once."""

    def __init__(self, path: Path, problems: Iterable[str]) -> None:
        super().__init__(
            "\n".join((f"{path} is not a trivy ignore file:", *(f"  {problem}" for problem in problems))),
            "Write an id in each line, with `exp:2026-12-31` if it should end, or trivy's YAML form.",
        )


def read_rules(paths: Iterable[Path]) -> tuple[Rule, ...]:
    """The rules of all files in their order; raises MalformedIgnoreFile."""
    return tuple(rule for path in paths for rule in _read(path))


def _read(path: Path) -> list[Rule]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MalformedIgnoreFile(path, [str(error)]) from error
    problems: list[str] = []
    parse = _yaml_rules if path.suffix in {".yaml", ".yml"} else _line_rules
    try:
        rules = list(parse(text, path.name, problems))
    except yaml.YAMLError as error:
        problems.append(str(error))
    if problems:
        raise MalformedIgnoreFile(path, problems)
    return rules


def _line_rules(text: str, name: str, problems: list[str]) -> Iterator[Rule]:
    """An id a line, `#` lines are comments, and further words count only if they begin with `exp:`."""
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        dates = [word.removeprefix("exp:") for word in words[1:] if word.startswith("exp:")]
        try:
            yield Rule(
                words[0], f"{name}:{number}", _midnight(date.fromisoformat(dates[0])) if dates else None
            )
        except ValueError:
            problems.append(f"line {number}: {dates[0]!r} is not a date such as 2026-12-31")


def _yaml_rules(text: str, name: str, problems: list[str]) -> Iterator[Rule]:
    root = yaml.compose(text, yaml.SafeLoader)
    for section, entries in _pairs(root, "the file", problems):
        if section not in _SECTIONS:
            problems.append(f"{section!r} is none of {', '.join(_SECTIONS)}")
        elif isinstance(entries, yaml.SequenceNode):
            yield from _entries(section, entries, name, problems)
        elif _value(entries) is not None:
            problems.append(f"{section} is not a list")


def _entries(section: Section, entries: yaml.SequenceNode, name: str, problems: list[str]) -> Iterator[Rule]:
    for entry in entries.value:
        line = entry.start_mark.line + 1
        pairs = dict(_pairs(entry, f"line {line}", problems))
        unknown = ", ".join(sorted(pairs.keys() - set(_KEYS)))
        if unknown:
            problems.append(f"line {line}: unknown: {unknown}; known: {', '.join(_KEYS)}")
        try:
            yield _rule(section, {key: _value(node) for key, node in pairs.items()}, f"{name}:{line}")
        except (ValueError, TypeError) as error:
            problems.append(f"line {line}: {error}")


def _rule(section: Section, entry: dict[str, object], where: str) -> Rule:
    identifier = entry.get("id")
    if not isinstance(identifier, str) or not identifier:
        raise ValueError("`id` is missing")
    return Rule(
        identifier,
        where,
        _moment(entry.get("expired_at")),
        frozenset({section}),
        tuple(path_pattern(text) for text in _texts(entry, "paths")),
        tuple(Purl.parse(text) for text in _texts(entry, "purls")),
    )


def _pairs(node: yaml.Node | None, what: str, problems: list[str]) -> list[tuple[str, yaml.Node]]:
    if node is None:
        return []
    if not isinstance(node, yaml.MappingNode):
        problems.append(f"{what} is not a mapping")
        return []
    return [(str(_value(key)), value) for key, value in node.value]


def _value(node: yaml.Node) -> object:
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_object(node, deep=True)
    finally:
        loader.dispose()


def _texts(entry: dict[str, object], key: str) -> list[str]:
    values = entry.get(key) or []
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError(f"`{key}` is not a list of texts")
    return values


def _moment(value: object) -> datetime | None:
    if value is None:
        return None
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return _midnight(value)
    raise ValueError(f"`expired_at` {value!r} is not a date such as 2026-12-31")


def _midnight(day: date) -> datetime:
    """A rule ends when its day begins (UTC), as trivy reads it."""
    return datetime.combine(day, time(), UTC)
