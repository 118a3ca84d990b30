"""The pages of docs/reference that nobody writes, made from what the code declares."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from reference.commands import commands_page
from reference.errors import errors_page
from reference.options import config_page, inputs_page, outputs_page
from reference.workflows import workflows_page

REFERENCE = Path("docs/reference")


def pages(outputs: Mapping[str, Mapping[str, str]], workflows: Mapping[Path, str]) -> dict[Path, str]:
    """Every generated page by path, from action.yml's outputs and the texts of the reusable workflows."""
    return {
        REFERENCE / "inputs.md": inputs_page(),
        REFERENCE / "outputs.md": outputs_page(outputs),
        REFERENCE / "commands.md": commands_page(),
        REFERENCE / "config.md": config_page(),
        REFERENCE / "errors.md": errors_page(),
        REFERENCE / "workflows.md": workflows_page(workflows),
    }
