"""The page about the reusable workflows, from the files themselves: workflows.md."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ml_containerize.plan.settings.options import BY_NAME
from reference.text import NOTE, cell

FOR_CALLERS = ("pr-check.yml", "release.yml")


def interface(workflow: str) -> Mapping[str, Any]:
    """The inputs, secrets and outputs of a workflow that is called; YAML 1.1 reads `on` as true."""
    called: Mapping[str, Any] = yaml.safe_load(workflow)[True]["workflow_call"] or {}
    return called


def workflows_page(workflows: Mapping[Path, str]) -> str:
    by_name = {path.name: text for path, text in workflows.items()}
    sections = "\n".join(_section(name, interface(by_name[name])) for name in FOR_CALLERS)
    return f"""# Workflows

{NOTE}
What the reusable workflows take and give. They ask for no permission: what a job may do stands in the
caller's workflow, as in [check pull requests](../how-to/pull-requests.md) and
[release on a tag](../how-to/releases.md). Inputs of the same name as [the action's](inputs.md) mean the same,
and are listed by name only.

{sections}"""


def _section(name: str, called: Mapping[str, Any]) -> str:
    inputs, secrets, outputs = (called.get(part) or {} for part in ("inputs", "secrets", "outputs"))
    own = {key: value for key, value in inputs.items() if key not in BY_NAME}
    passed = ", ".join(f"`{key}`" for key in inputs if key in BY_NAME)
    parts = [
        f"## {name}\n",
        _table("Input | Default", {key: (_default(value), value) for key, value in own.items()}),
        f"Handed on to the action: {passed}.\n",
        _table("Secret | Default", {key: ("", value) for key, value in secrets.items()}),
        _table("Output |", {key: ("", value) for key, value in outputs.items()}),
    ]
    return "\n".join(filter(None, parts))


def _default(value: Mapping[str, Any]) -> str:
    default = value.get("default", "")
    return f"`{str(default).lower() if isinstance(default, bool) else default}`" if default != "" else ""


def _table(heading: str, rows: Mapping[str, tuple[str, Mapping[str, Any]]]) -> str:
    if not rows:
        return ""
    lines = [
        f"| `{key}` | {default} | {cell(value['description'])} |" for key, (default, value) in rows.items()
    ]
    return "\n".join([f"| {heading} | Meaning |", "|---|---|---|", *lines, ""])
