"""Finding the model where the settings do not name it: the only candidate in the project."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ml_containerize.errors import PlanError
from ml_containerize.plan.formats import FOREIGN, SERVED, UnknownFormat, UnreadableModel

DEPTH = 3  # folders below the project that are searched
_SUFFIXES = (".keras", ".h5", ".hdf5")
_WEIGHTS = ".weights.h5"


class ModelNotFound(PlanError):
    """There is no model where one should be."""

    def __init__(self, what: str) -> None:
        super().__init__(what, f"Put the model there ({SERVED}), or say where it is with `model:`.")


class SeveralModels(PlanError):
    """More than one file or folder could be the model."""

    def __init__(self, names: list[str]) -> None:
        listed = "".join(f"\n  - {name!r}" for name in names)
        super().__init__(
            f"{len(names)} candidates for the model:{listed}", f"Choose one: `model: {names[0]}`."
        )


class ModelOutside(PlanError):
    """The model, or a part of it, is a link to something that does not belong to the project."""

    def __init__(self, path: Path, target: Path) -> None:
        super().__init__(
            f"{path} leads out of the project, to {target}",
            "The commit would not tell what is in the image: put the file itself into the project.",
        )


def find_model(named: Path | None, project: Path, output: Path) -> Path:
    """The file or folder to serve. Raises ModelNotFound, SeveralModels, ModelOutside or UnknownFormat."""
    path = named or _only_candidate(project, output)
    if not path.exists():
        broken = path.is_symlink()
        raise ModelNotFound(f"{path} is a link to nothing" if broken else f"{path} does not exist")
    refuse_outside(path, project)
    if path.resolve() == project.resolve():
        raise UnknownFormat(path, "it is the project's own folder; the model needs a folder of its own")
    return path


def refuse_outside(path: Path, project: Path) -> None:
    """Raises ModelOutside where links lead from the project to somewhere else."""
    target = path.resolve()
    if not target.is_relative_to(project.resolve()):
        raise ModelOutside(path, target)


def _only_candidate(project: Path, output: Path) -> Path:
    try:
        found = sorted(_candidates(project, output, DEPTH))
    except OSError as error:
        raise UnreadableModel(Path(error.filename or project), error) from error
    if len(found) > 1:
        raise SeveralModels([str(path.relative_to(project)) for path in found])
    return found[0] if found else _missing(project)


def _candidates(folder: Path, output: Path, depth: int) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.name.endswith(_SUFFIXES) and not entry.name.endswith(_WEIGHTS):
                yield folder / entry.name
            elif entry.is_dir() and (inner := folder / entry.name) != output:
                yield from _in_folder(inner, output, depth)


def _in_folder(folder: Path, output: Path, depth: int) -> Iterator[Path]:
    if (folder / "saved_model.pb").exists():
        yield folder
    elif depth and not folder.is_symlink():
        yield from _candidates(folder, output, depth - 1)


def _missing(project: Path) -> Path:
    """Raise for what is there instead of a model."""
    names = sorted(path.name for path in project.iterdir())
    if not names:
        raise ModelNotFound(f"No model: {project} is empty")
    for name in names:
        if name == "saved_model.pb":
            raise UnknownFormat(project, "a SavedModel needs a folder of its own inside the project")
        if Path(name).suffix in FOREIGN:
            raise UnknownFormat(project / name, f"it is {FOREIGN[Path(name).suffix]}")
    raise ModelNotFound(f"No model in {project}")
