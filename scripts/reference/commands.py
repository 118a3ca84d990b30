"""The page about the commands, from the parser itself: commands.md."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from ml_containerize import cli
from ml_containerize.errors import ContainerizeError
from ml_containerize.plan.settings.options import BY_NAME
from reference.text import NOTE, cell


def commands_page() -> str:
    sections = "\n".join(_command(name, about, one) for name, about, one in commands(cli.parser()))
    return f"""# Commands

{NOTE}
stdout carries data only, such as the image as `name@sha256:…`, or JSON with `--json`; words for people go to
stderr. `--quiet` leaves out all but errors.

{sections}
## Exit codes

| Code | Meaning |
|---|---|
{_exit_codes()}
"""


def commands(top: argparse.ArgumentParser) -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """Each command's name, its line in the help, and its parser."""
    for action in top._actions:
        if isinstance(action, argparse._SubParsersAction):
            for shown in action._choices_actions:
                yield shown.dest, shown.help or "", action.choices[shown.dest]


def _command(name: str, about: str, parser: argparse.ArgumentParser) -> str:
    own = [action for action in parser._actions if _is_own(action)]
    given = [action.dest for action in parser._actions if _is_input(action)]
    usage = " ".join(["ml-containerize", name, *filter(None, map(_usage, own))])
    return "\n".join(
        (
            f"## `{name}`\n\n{about[:1].upper()}{cell(about[1:])}.\n",
            f"```text\n{usage}{' [--INPUT VALUE]…' if given else ''}\n```\n",
            *_arguments(own),
            *_inputs(given),
        )
    )


def _is_own(action: argparse.Action) -> bool:
    return _is_shown(action) and not _is_input(action) and action.dest not in {"help", "quiet"}


def _is_input(action: argparse.Action) -> bool:
    return _is_shown(action) and bool(action.option_strings) and action.dest in BY_NAME


def _is_shown(action: argparse.Action) -> bool:
    return action.help != argparse.SUPPRESS


def _usage(action: argparse.Action) -> str:
    words = _words(action)
    if not action.required or action.nargs in {"?", "*"}:
        words = f"[{words}]"
    return f"{words}…" if _is_repeated(action) else words


def _is_repeated(action: argparse.Action) -> bool:
    return action.nargs in {"+", "*"} or isinstance(action, argparse._AppendAction)


def _words(action: argparse.Action) -> str:
    value = action.metavar or (action.dest.upper() if action.nargs != 0 else "")
    if isinstance(value, tuple):
        value = " ".join(value)
    return " ".join(filter(None, (*action.option_strings[:1], value)))


def _arguments(own: list[argparse.Action]) -> Iterator[str]:
    if own:
        rows = "\n".join(f"| `{cell(_words(action))}` | {cell(action.help or '')} |" for action in own)
        yield f"| Argument | Meaning |\n|---|---|\n{rows}\n"


def _inputs(given: list[str]) -> Iterator[str]:
    every = {option.name for option in BY_NAME.values() if option.as_flag and not option.only_for}
    if every <= set(given):
        yield "Every [input](inputs.md) of these stages is a flag.\n"
    elif given:
        yield f"[Inputs](inputs.md) that are flags: {', '.join(f'`--{name}`' for name in given)}.\n"


def _exit_codes() -> str:
    rows = [f"| {one.exit_code} | {one.title}: {(one.__doc__ or '').strip()} |" for one in bases()]
    return "\n".join(["| 0 | done |", *rows, "| 130 | interrupted: Ctrl-C or SIGTERM; nothing was tagged. |"])


def bases() -> list[type[ContainerizeError]]:
    """One class for each exit code."""
    bases = sorted(ContainerizeError.__subclasses__(), key=lambda one: one.exit_code)
    return [one for one in bases if one.__module__ == ContainerizeError.__module__]
