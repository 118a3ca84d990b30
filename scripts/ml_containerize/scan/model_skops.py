"""A skops file: its schema names every type that loading it makes.

Format: https://github.com/skops-dev/skops, `skops/io/_persist.py` and `skops/io/_general.py`.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator

from ml_containerize.plan.model.archives import UNREADABLE
from ml_containerize.plan.model.model import ModelFile
from ml_containerize.scan.danger import Danger, unreadable
from ml_containerize.scan.imports import Import, judge

_LARGEST_SCHEMA = 256 * 2**20  # bytes; that of a forest of a thousand trees is some MiB


def skops_dangers(file: ModelFile) -> Iterator[Danger]:
    try:
        with zipfile.ZipFile(file.source) as archive, archive.open("schema.json") as stream:
            body = stream.read(_LARGEST_SCHEMA + 1)
        if len(body) > _LARGEST_SCHEMA:
            raise ValueError("schema.json is too large")
        schema = json.loads(body)
    except (*UNREADABLE, KeyError) as error:
        yield unreadable(f"its schema.json cannot be read: {error}")
        return
    for one in dict.fromkeys(_types(schema)):
        if judge(one) != "usual":
            yield Danger("MLC-SKOPS-TYPE", "HIGH", f"it holds {one}, which is not of scikit-learn's family")


def _types(schema: object) -> Iterator[Import]:
    """Every type that is named, wherever it is nested."""
    waiting = [schema]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            module, name = value.get("__module__"), value.get("__class__")
            if isinstance(module, str) and isinstance(name, str):
                yield Import(module, name)
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
