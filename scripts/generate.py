"""`make generate`: write the views of what is declared: action, workflows, reference pages, schema."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

import reference
import workflow_blocks
from ml_containerize.plan.settings.views import (
    SCHEMA_PATH,
    action_environment,
    action_inputs,
    schema_text,
)

ROOT = Path(__file__).parents[1]


def generated() -> dict[Path, str]:
    """Every generated file's whole content, by path below the project."""
    action = (ROOT / "action.yml").read_text()
    inputs = yaml.safe_dump({"inputs": action_inputs()}, sort_keys=False, width=10_000)
    environment = "".join(f"        {name}: {value}\n" for name, value in action_environment().items())
    workflows = {path: _workflow(path, blocks) for path, blocks in workflow_blocks.blocks().items()}
    return {
        Path("action.yml"): _between(_between(action, "inputs", inputs), "env", environment),
        **workflows,
        **reference.pages(yaml.safe_load(action)["outputs"], workflows),
        Path(SCHEMA_PATH): schema_text(),
    }


def _workflow(path: Path, blocks: Mapping[str, str]) -> str:
    text = (ROOT / path).read_text()
    for name, content in blocks.items():
        text = _between(text, name, content)
    return text


def _between(text: str, name: str, content: str) -> str:
    """Replace what stands between the marks `generated: NAME` and `end: NAME`."""
    marks = re.compile(
        rf"(^[^\n]*generated: {name}\b[^\n]*\n).*?(^[^\n]*end: {name}\b)", re.DOTALL | re.MULTILINE
    )
    if not marks.search(text):
        raise SystemExit(f"the marks for {name!r} are missing")
    return marks.sub(lambda found: found[1] + content + found[2], text)


def main() -> int:
    for path, content in generated().items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
