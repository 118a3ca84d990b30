"""Finding the model where the settings do not name it: the only candidate in the project."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

from ml_containerize.errors import PlanError
from ml_containerize.plan.model.archives import is_torchscript
from ml_containerize.plan.model.formats import FOREIGN, PREDICTOR, SAVED_MODEL, SUFFIXES, detect_format
from ml_containerize.plan.model.heads import HEAD, is_lightgbm, is_xgboost_json
from ml_containerize.plan.model.onnx import external_files
from ml_containerize.plan.model.unusable import SERVED, CorruptModel, UnknownFormat, UnreadableModel

DEPTH = 3  # folders below the project that are searched
_WEIGHTS = ".weights.h5"
_PICKLES = (".pkl", ".pickle", ".joblib")
_CHECKPOINTS = (".pt", ".pth")
_KNOWN = tuple(suffix for suffix in SUFFIXES if suffix not in {".json", ".txt", *_CHECKPOINTS})
_SMOKE = "smoke"
_OTHERS = ("requirements", "metrics.", "ml-containerize.")  # how files of a project begin that are no models


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
    """The one file or folder that is a model; a pickle or a predictor only where there is no other.

    Many a project keeps its data in pickles, or has a module of that name.
    """
    try:
        every = sorted(_candidates(project, output, DEPTH))
    except OSError as error:
        raise UnreadableModel(Path(error.filename or project), error) from error
    found = [path for path in every if not may_be_another_thing(path)] or every
    if len(found) > 1:
        raise SeveralModels([str(path.relative_to(project)) for path in found])
    return found[0] if found else _missing(project)


def may_be_another_thing(path: Path) -> bool:
    """A pickle that may hold data, or a module that only happens to be named so."""
    return path.suffix in _PICKLES or path.name == PREDICTOR or (path / PREDICTOR).exists()


def _candidates(folder: Path, output: Path, depth: int) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            path = folder / entry.name
            if entry.name == PREDICTOR or is_model(path):
                yield path
            elif entry.is_dir() and path != output:
                yield from _in_folder(path, output, depth)


def _in_folder(folder: Path, output: Path, depth: int) -> Iterator[Path]:
    if any((folder / name).exists() for name in (SAVED_MODEL, PREDICTOR)) or is_onnx_folder(folder):
        yield folder
    elif depth and not folder.is_symlink():
        yield from _candidates(folder, output, depth - 1)


def is_onnx_folder(folder: Path) -> bool:
    """True where the weights of an ONNX model lie beside it."""
    try:
        return any(external_files(model) for model in folder.glob("*.onnx"))
    except CorruptModel:
        return False


def is_model(path: Path) -> bool:
    """By the name where that says it, otherwise by the beginning of the file."""
    if path.suffix in _CHECKPOINTS:
        return _is_torchscript(path)
    if path.suffix in {".json", ".txt"}:
        ours = path.name.startswith(_OTHERS) or path.parent.name == _SMOKE
        return not ours and path.is_file() and _has_head(path)
    return path.name.endswith(_KNOWN) and not path.name.endswith(_WEIGHTS)


def _is_torchscript(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return is_torchscript(archive.namelist())
    except (zipfile.BadZipFile, IsADirectoryError, FileNotFoundError):
        return False


def _has_head(path: Path) -> bool:
    with path.open("rb") as stream:
        head = stream.read(HEAD)
    return is_xgboost_json(head) if path.suffix == ".json" else is_lightgbm(head)


def _missing(project: Path) -> Path:
    """Raise for what is there instead of a model."""
    names = sorted(path.name for path in project.iterdir())
    if not names:
        raise ModelNotFound(f"No model: {project} is empty")
    for name in names:
        if name == SAVED_MODEL:
            raise UnknownFormat(project, "a SavedModel needs a folder of its own inside the project")
        if Path(name).suffix in {*FOREIGN, *_CHECKPOINTS}:
            detect_format(project / name)
    raise ModelNotFound(f"No model in {project}")
