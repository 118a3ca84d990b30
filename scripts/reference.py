"""The pages of docs/reference that nobody writes: inputs, outputs, commands and exit codes as declared."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path

from ml_containerize import cli
from ml_containerize.errors import ContainerizeError
from ml_containerize.plan.options import BY_NAME, PREFIX
from ml_containerize.plan.views import SCHEMA_PATH, option_tables

REFERENCE = Path("docs/reference")
_NOTE = "<!-- Written by `make generate`; change what it is made of. -->\n"


def pages(outputs: Mapping[str, Mapping[str, str]]) -> dict[Path, str]:
    """Every generated page by path; `outputs` are those of action.yml."""
    return {
        REFERENCE / "inputs.md": inputs_page(),
        REFERENCE / "outputs.md": outputs_page(outputs),
        REFERENCE / "commands.md": commands_page(),
    }


def inputs_page() -> str:
    return f"""# Inputs

{_NOTE}
Every input is an input of the action, a flag of the command (`--name`), an environment variable
(`{PREFIX}NAME`, with `_` for `-`) and a key of `ml-containerize.yaml`, in this order of precedence; the last
column names the exceptions. An empty value is the same as none. Editors check the file against
[the schema](../../{SCHEMA_PATH}), which `ml-containerize schema` prints.

A *List* has one entry a line, a *CSV* also takes commas, a *Bool* is `true` or `false` and nothing else. As
flags lists are repeated, and a Bool is `--push` or `--no-push`.

{option_tables()}
"""


def outputs_page(outputs: Mapping[str, Mapping[str, str]]) -> str:
    rows = "\n".join(f"| `{name}` | {_cell(output['description'])} |" for name, output in outputs.items())
    return f"""# Outputs

{_NOTE}
Outputs of the action's step, as in `${{{{ steps.image.outputs.digest }}}}`. One that the run did not reach is
empty. GitHub drops an output that contains the value of a secret: `digest`, `tag-names` and `model-hash`
stand alone, so that an image's name that is a secret takes nothing else with it.

| Output | Meaning |
|---|---|
{rows}
"""


def commands_page() -> str:
    sections = "\n".join(_command(name, about, one) for name, about, one in commands(cli.parser()))
    return f"""# Commands

{_NOTE}
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
            f"## `{name}`\n\n{about[:1].upper()}{_cell(about[1:])}.\n",
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
        rows = "\n".join(f"| `{_words(action)}` | {_cell(action.help or '')} |" for action in own)
        yield f"| Argument | Meaning |\n|---|---|\n{rows}\n"


def _inputs(given: list[str]) -> Iterator[str]:
    every = {option.name for option in BY_NAME.values() if option.as_flag}
    if every <= set(given):
        yield "Every [input](inputs.md) is a flag.\n"
    elif given:
        yield f"[Inputs](inputs.md) that are flags: {', '.join(f'`--{name}`' for name in given)}.\n"


def _exit_codes() -> str:
    bases = sorted(ContainerizeError.__subclasses__(), key=lambda one: one.exit_code)
    known = [one for one in bases if one.__module__ == ContainerizeError.__module__]
    rows = [f"| {one.exit_code} | {one.title}: {(one.__doc__ or '').strip()} |" for one in known]
    return "\n".join(["| 0 | done |", *rows, "| 130 | interrupted: Ctrl-C or SIGTERM; nothing was tagged. |"])


def _cell(text: str) -> str:
    return text.replace("%%", "%").replace("|", "\\|").replace("\n", " ")
