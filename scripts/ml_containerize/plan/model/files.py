"""The model's files as they lie on disk, in the order in which they are hashed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ml_containerize.errors import PlanError
from ml_containerize.plan.model.candidates import refuse_outside
from ml_containerize.plan.model.unusable import UnreadableModel


class UnservableFile(PlanError):
    """Something in the model's folder cannot be put into an image."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path!r} cannot be part of a model: {why}", "Remove, rename or replace it.")


@dataclass(frozen=True, slots=True)
class FoundFile:
    """One file: its path inside the model, where it lies, and its size in bytes."""

    path: str
    source: str
    size: int


def list_files(root: Path, project: Path) -> tuple[FoundFile, ...]:
    """All files of the model, sorted by their paths' bytes. Links to files of the project are followed.

    Raises UnservableFile, UnreadableModel or ModelOutside.
    """
    try:
        if not root.is_dir():
            return (FoundFile(_checked(root.name), str(root), root.stat().st_size),)
        found = list(_below(str(root), "", project))
    except OSError as error:
        raise UnreadableModel(Path(error.filename or root), error) from error
    return tuple(sorted(found, key=lambda file: file.path.encode()))


def _below(folder: str, prefix: str, project: Path) -> Iterator[FoundFile]:
    with os.scandir(folder) as entries:
        for entry in entries:
            path = _checked(prefix + entry.name)
            if entry.is_symlink():
                _check_link(Path(entry.path), project)
            if entry.is_dir():
                yield from _below(entry.path, f"{path}/", project)
            elif entry.is_file():
                yield FoundFile(path, entry.path, entry.stat().st_size)
            else:
                raise UnservableFile(entry.path, "it is neither a file nor a folder")


def _check_link(source: Path, project: Path) -> None:
    refuse_outside(source, project)
    if not source.exists():
        raise UnservableFile(str(source), "it is a link to nothing")
    if source.is_dir():
        raise UnservableFile(str(source), "it is a link to a folder")


def _checked(path: str) -> str:
    """Names that are not UTF-8 fit into no manifest, label or report."""
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise UnservableFile(path, "its name is not UTF-8") from error
    return path
