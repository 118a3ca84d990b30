"""TorchScript and torch.export: programs in an archive, and the pickles that lie beside them.

Formats: https://docs.pytorch.org/docs/stable/jit.html and
https://docs.pytorch.org/docs/stable/export/pt2_archive.html.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterable, Iterator
from typing import IO

from ml_containerize.plan.model.archives import UNREADABLE
from ml_containerize.plan.model.model import ModelFile
from ml_containerize.scan.danger import Danger, unreadable
from ml_containerize.scan.imports import judge
from ml_containerize.scan.pickles import imports_in

Operator = tuple[str, str]  # a namespace and a name

_LARGEST_TEXT = 64 * 2**20  # bytes; code and graphs, not weights
_DEEPEST = 3  # archives inside of an archive: torch.export keeps its sample inputs in one
_ZIP = b"PK\3\4"
_FAMILIES = frozenset({"__torch__", "torch", "numpy"})
_ATEN = "aten"
_FILES = {(_ATEN, "from_file"), (_ATEN, "save")}
_BUILT_IN = frozenset(f"{_ATEN} higher_order inductor mkldnn prim prims profiler quantized sparse".split())

# In code, an operator of `aten` is written `torch.relu(`, any other `ops.name.relu(`.
_CALL = re.compile(r"\b(?:torch|ops\.(\w+))\.(\w+)\(")
_TARGET = re.compile(r"torch\.ops\.(\w+)\.(\w+)")


def torch_dangers(file: ModelFile) -> Iterator[Danger]:
    try:
        with file.source.open("rb") as stream:
            yield from _in_archive(stream, 0)
    except (*UNREADABLE, KeyError) as error:
        yield unreadable(f"its archive cannot be read: {error}")


def _in_archive(stream: IO[bytes], depth: int) -> Iterator[Danger]:
    if depth > _DEEPEST:
        raise ValueError("archives are nested too deeply")
    with zipfile.ZipFile(stream) as archive:
        for name in archive.namelist():
            with archive.open(name) as member:
                yield from _in_member(name, member, depth)


def _in_member(name: str, member: IO[bytes], depth: int) -> Iterator[Danger]:
    if name.endswith(".py"):
        calls = _CALL.finditer(_text(member))
        yield from _of_operators((found[1] or _ATEN, found[2]) for found in calls)
    elif name.endswith(".json"):
        targets = (_TARGET.match(target) for target in _targets(json.loads(_text(member))))
        yield from _of_operators((found[1], found[2]) for found in targets if found)
    elif name.endswith(".pkl"):
        for one in imports_in(member):
            if judge(one, _FAMILIES) != "usual":
                yield Danger("MLC-TORCH-IMPORT", "HIGH", f"its {name} names {one}, which is not PyTorch's")
    elif member.read(len(_ZIP)) == _ZIP:
        member.seek(0)
        yield from _in_archive(member, depth + 1)


def _of_operators(operators: Iterable[Operator]) -> Iterator[Danger]:
    for space, name in operators:
        if (space, name) in _FILES:
            yield Danger("MLC-TORCH-FILE", "HIGH", f"its program calls {space}::{name}, which opens files")
        elif space not in _BUILT_IN:
            what = f"its program calls {space}::{name}, whose code is not PyTorch's"
            yield Danger("MLC-TORCH-OPERATOR", "HIGH", what)


def _targets(graph: object) -> Iterator[str]:
    """What the nodes of an exported graph call, wherever they are nested."""
    waiting = [graph]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if isinstance(target := value.get("target"), str):
                yield target
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _text(member: IO[bytes]) -> str:
    body = member.read(_LARGEST_TEXT + 1)
    if len(body) > _LARGEST_TEXT:
        raise ValueError("its code is too long")
    return body.decode("utf-8", "replace")
