"""The pages about the options: inputs.md, outputs.md and config.md."""

from __future__ import annotations

import json
from collections.abc import Mapping

from ml_containerize.plan.settings.options import OPTIONS, PREFIX
from ml_containerize.plan.settings.views import SCHEMA_PATH, option_tables
from ml_containerize.results import Json
from reference.text import NOTE, cell


def inputs_page() -> str:
    return f"""# Inputs

{NOTE}
Every input is an input of the action, a flag of the command (`--name`), an environment variable
(`{PREFIX}NAME`, with `_` for `-`) and a key of `ml-containerize.yaml`, in this order of precedence; the last
column names the exceptions. An empty value is the same as none. Editors check the file against
[the schema](../../{SCHEMA_PATH}), which `ml-containerize schema` prints.

A *List* has one entry a line, a *CSV* also takes commas, a *Bool* is `true` or `false` and nothing else. As
flags lists are repeated, and a Bool is `--push` or `--no-push`.

{option_tables()}
"""


def outputs_page(outputs: Mapping[str, Mapping[str, str]]) -> str:
    rows = "\n".join(f"| `{name}` | {cell(output['description'])} |" for name, output in outputs.items())
    return f"""# Outputs

{NOTE}
Outputs of the action's step, as in `${{{{ steps.image.outputs.digest }}}}`. One that the run did not reach is
empty. GitHub drops an output that contains the value of a secret: `digest`, `tag-names` and `model-hash`
stand alone, so that an image's name that is a secret takes nothing else with it.

| Output | Meaning |
|---|---|
{rows}
"""


def config_page() -> str:
    rows = "\n".join(
        f"| `{option.name}` | {_yaml(option.kind.schema())} | {_shown(option.default)} |"
        for option in OPTIONS
        if option.in_file
    )
    return f"""# ml-containerize.yaml

{NOTE}
Optional, in the model project's folder. What it says holds where no flag, variable or input of the action
says otherwise; what each key means is told under [inputs](inputs.md). An unknown key, a value of the wrong
type and a repeated key are errors (exit code 2), all told at once with their line and the nearest known key.

```yaml
name: digits
images: [ghcr.io/org/digits]
severity: [CRITICAL]
latency-p95-ms: 50
labels:
  team: vision
```

Relative paths start at the folder of the file. Editors check it against
[the schema](../../{SCHEMA_PATH}): `# yaml-language-server: $schema=` and its address in the first line.

| Key | Type | Default |
|---|---|---|
{rows}
"""


def _yaml(schema: Json) -> str:
    """A JSON Schema in a few words."""
    if "enum" in schema:
        words = [word if isinstance(word, str) else json.dumps(word) for word in schema["enum"]]
        return ", ".join(f"`{word}`" for word in words)
    if "anyOf" in schema:
        return " or ".join(map(_yaml, schema["anyOf"]))
    if schema.get("type") == "array":
        items = _yaml(schema["items"])
        return "list" if items == "text" else f"list of {items}"
    return {"string": "text", "object": "map"}.get(schema["type"], str(schema["type"]))


def _shown(default: str) -> str:
    return f"`{default}`" if default else ""
