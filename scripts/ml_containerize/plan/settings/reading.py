"""The sources of settings, each read wholly, so that the problems of all of them are told at once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_containerize.plan.settings.options import BY_NAME, OPTIONS, PREFIX, Option
from ml_containerize.plan.settings.problems import Problem, Wrong, nearest

if TYPE_CHECKING:
    from ml_containerize.plan.settings.config_file import ConfigFile

Values = dict[str, Any]
Entry = tuple[Option, str, str]  # an option, what was written, and where

CONFIG_NAME = "ml-containerize.yaml"
_BY_VARIABLE = {option.variable: option for option in OPTIONS}
_FILE_KEYS = tuple(option.name for option in OPTIONS if option.in_file)


@dataclass(slots=True)
class Reading:
    """Reads one source after another and keeps what is wrong with them."""

    project: Path
    here: Path
    problems: list[Problem] = field(default_factory=list)
    failed: set[str] = field(default_factory=set)  # options that were given a value which is wrong

    def flags(self, flags: Mapping[str, object]) -> Values:
        """What was typed: texts, booleans and lists, by option name; None and '' mean nothing."""
        texts = {name: text for name, value in flags.items() if (text := _text(value))}
        if texts.pop("password", ""):
            why = "any user of this machine can read a command line; set ML_CONTAINERIZE_PASSWORD instead"
            self.failed.add("password")
            self.problems.append(Problem(why, where="--password"))
        return self._texts((BY_NAME[name], text, _typed(BY_NAME[name])) for name, text in texts.items())

    def environment(self, environ: Mapping[str, str]) -> Values:
        """Variables that start with ML_CONTAINERIZE_; an empty one is unset, as GitHub gives it."""
        ours = sorted(name for name in environ if name.startswith(PREFIX))
        self.problems += [
            Problem(f"unknown variable{nearest(name, _BY_VARIABLE)}", where=name)
            for name in ours
            if name not in _BY_VARIABLE
        ]
        known = (name for name in ours if name in _BY_VARIABLE)
        return self._texts(
            (_BY_VARIABLE[name], text, name) for name in known if (text := environ[name].strip())
        )

    def defaults(self) -> Values:
        """What applies where nobody said anything."""
        unset = {option.name: option.kind.unset for option in OPTIONS}
        return unset | self._texts(
            (option, option.default, "default") for option in OPTIONS if option.default
        )

    def config(self, named: Path | None) -> tuple[Path | None, Values]:
        """The config file that was named, or the project's own where it has one, and what it says."""
        path = named or self.project / CONFIG_NAME
        if named is None and not path.is_file():
            self._notice_misnamed(path.with_suffix(".yml"))
            return None, {}
        from ml_containerize.plan.settings.config_file import read_config

        file = read_config(path, shown(path, self.here))
        values: Values = {}
        for key, value in file.values.items():
            self._written(values, key, value, file)
        self.problems += sorted(file.problems, key=_line)
        return path, values

    def _texts(self, entries: Iterable[Entry]) -> Values:
        values: Values = {}
        for option, text, where in entries:
            folder = self.project if option.inside else self.here
            try:
                values[option.name] = _anchored(option.kind.text(text), folder)
            except Wrong as error:
                self.failed.add(option.name)
                self.problems += [Problem(problem.message, where=where) for problem in error.problems]
        return values

    def _written(self, values: Values, key: str, value: object, file: ConfigFile) -> None:
        option = BY_NAME.get(key)
        if option is None or not option.in_file:
            why = f"{key!r} cannot be set here{_instead(option)}" if option else f"unknown key {key!r}"
            advice = "" if option else nearest(key, _FILE_KEYS)
            file.problems.append(Problem(why + advice, where=file.keys[key]))
        elif value not in (None, ""):
            try:
                values[key] = _anchored(option.kind.yaml(value), self.project)
            except Wrong as error:
                self.failed.add(key)
                under = [problem.under(key) for problem in error.problems]
                file.problems += [problem.at(file.where(problem.path)) for problem in under]

    def _notice_misnamed(self, path: Path) -> None:
        if path.is_file():
            self.problems.append(
                Problem(f"this name is not read; rename it to {CONFIG_NAME}", where=shown(path, self.here))
            )


def _typed(option: Option) -> str:
    """How a person gave it: as a flag, or as an argument without one."""
    return f"--{option.name}" if option.as_flag else option.name.upper()


def _instead(option: Option) -> str:
    if option.name == "password":
        return f": a secret in a file ends up in git; set {option.variable} in the environment"
    return "; give it as a flag or an action input"


def _text(value: object) -> str:
    """A flag's value as one text: `--push` gives True, a repeated flag gives a list."""
    match value:
        case bool():
            return "true" if value else "false"
        case list() | tuple():
            return "\n".join(str(item) for item in value)
        case None:
            return ""
    return str(value).strip()


def _anchored(value: object, folder: Path) -> object:
    """Make relative paths absolute, also inside a tuple."""
    if isinstance(value, Path):
        return folder / os.path.expanduser(value)  # noqa: PTH111 - Path.expanduser fails without a home
    if isinstance(value, tuple):
        return tuple(_anchored(item, folder) for item in value)
    return value


def _line(problem: Problem) -> tuple[int, ...]:
    """A file's problems are told from its top to its end."""
    return tuple(int(part) for part in problem.where.split(":")[1:] if part.isdigit())


def shown(path: Path, here: Path) -> str:
    """The path as a person in `here` would type it."""
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
