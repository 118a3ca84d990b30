"""The options as others need them: argparse flags, action inputs, Markdown tables, a JSON Schema."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable

from ml_containerize.plan.settings.kinds import Boolean
from ml_containerize.plan.settings.many import Items, Pairs
from ml_containerize.plan.settings.options import GROUPS, OPTIONS, Option
from ml_containerize.results import Json

SCHEMA_PATH = "schema/ml-containerize.schema.json"


def add_flags(parser: argparse.ArgumentParser, leave_out: Iterable[str] = (), only_for: str = "") -> None:
    """Give the parser one flag an option of the pipeline, or of one command; `flags_of` reads them back."""
    skipped = set(leave_out)
    for title, options in GROUPS.items():
        group = parser.add_argument_group(title)
        for option in options:
            if option.as_flag and option.only_for == only_for and option.name not in skipped:
                _add_flag(group, option)
    # accepted only to be refused without printing it, as argparse would
    parser.add_argument("--password", help=argparse.SUPPRESS)


def _add_flag(group: argparse._ArgumentGroup, option: Option) -> None:
    default = f" [{option.default}]" if option.default else ""
    text = f"{option.help}{default}".replace("`", "").replace("%", "%%")
    name = f"--{option.name}"
    if isinstance(option.kind, Boolean):
        group.add_argument(name, dest=option.name, help=text, action=argparse.BooleanOptionalAction)
    elif isinstance(option.kind, Items | Pairs):
        group.add_argument(name, dest=option.name, help=text, action="append", metavar="VALUE")
    else:
        group.add_argument(name, dest=option.name, help=text, metavar="VALUE")


def flags_of(arguments: argparse.Namespace) -> dict[str, object]:
    """What was typed, by option name, as `load_settings` takes it."""
    typed = vars(arguments)
    return {option.name: typed[option.name] for option in OPTIONS if typed.get(option.name) is not None}


def action_inputs() -> dict[str, dict[str, str]]:
    """The `inputs` of action.yml. Defaults stay empty there, or an input would always win over the file."""
    return {option.name: {"description": described(option), "default": ""} for option in OPTIONS}


def action_environment() -> dict[str, str]:
    """The `env` that hands the inputs to the command without passing through a shell."""
    return {option.variable: f"${{{{ inputs.{option.name} }}}}" for option in OPTIONS}


def described(option: Option) -> str:
    """What an option is for, and its default where it has one."""
    return f"{option.help} Default: `{option.default}`." if option.default else option.help


def option_tables() -> str:
    """All options as Markdown, one table a group."""
    return "\n\n".join(f"## {title}\n\n{_table(options)}" for title, options in GROUPS.items())


def _table(options: Iterable[Option]) -> str:
    heading = "| Input | Type | Default | Meaning | Not |\n|---|---|---|---|---|"
    return "\n".join([heading, *map(_row, options)])


def _row(option: Option) -> str:
    cells = (f"`{option.name}`", option.kind.label(), _default(option), option.help, _except(option))
    return f"| {' | '.join(cells)} |"


def _except(option: Option) -> str:
    """Where this option cannot be given."""
    flag = "" if option.as_flag else "a flag"
    key = "" if option.in_file else "in the file"
    return ", ".join(filter(None, (flag, key)))


def _default(option: Option) -> str:
    value, at, digest = option.default.partition("@sha256:")
    shown = f"{value}@sha256:{digest[:7]}…" if at else value
    return f"`{shown}`" if shown else ""


def json_schema() -> Json:
    """The config file's JSON Schema, for editors."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "ml-containerize.yaml",
        "description": "How ml-containerize makes an image of this model.",
        "type": "object",
        "additionalProperties": False,
        "properties": {option.name: _property(option) for option in OPTIONS if option.in_file},
    }


def _property(option: Option) -> Json:
    return {"description": described(option), **option.kind.schema()}


def schema_text() -> str:
    """The content of SCHEMA_PATH."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
