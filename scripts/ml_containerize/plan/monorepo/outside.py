"""Which files outside its folder a model project is made of: what its settings name, and where links lead."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ml_containerize.plan.environment.locked import requirement_files
from ml_containerize.plan.environment.requirements import UnreadableRequirements, logical_lines, read_text

_INCLUDED = re.compile(r"(?:-r|-c|--requirement|--constraint)[\s=]*(\S.*)")


def outer_files(root: Path, path: str, values: Mapping[str, Any], links: Iterable[str]) -> list[str]:
    """Paths below the repository's root, sorted; what lies outside of the repository no commit can change."""
    folder = root / path
    named = [*_named(folder, values), *(root / link for link in links)]
    found = {real for one in named for real in (_inside(one.absolute(), root), _inside(_real(one), root))}
    return sorted(one for one in found if one and not (root / one).is_relative_to(folder))


def _named(folder: Path, values: Mapping[str, Any]) -> Iterator[Path]:
    yield from values.get("trivyignores", ())
    base = values.get("base-image")
    if isinstance(base, Path):
        yield base
    written, lock = requirement_files(folder, values.get("requirements"))
    yield from (lock, *_with_included(written, frozenset()))


def _with_included(file: Path, seen: frozenset[Path]) -> Iterator[Path]:
    """A requirements file and those that it includes; what cannot be read, its own job will tell."""
    yield file
    if not file.is_file():
        return
    try:
        lines = [line for _, line in logical_lines(read_text(file))]
    except UnreadableRequirements:
        return
    for line in lines:
        included = _INCLUDED.fullmatch(line)
        inner = (file.parent / included[1]) if included else file
        if inner.resolve() not in seen | {file.resolve()}:
            yield from _with_included(inner, seen | {file.resolve()})


def _real(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # a circle of links
        return path


def _inside(path: Path, root: Path) -> str:
    """The path below the root, without `..`; '' where it leads out."""
    plain = Path(os.path.normpath(path))
    return plain.relative_to(root).as_posix() if plain.is_relative_to(root) else ""
