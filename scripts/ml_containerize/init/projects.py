"""The models of a repository, each with the folder that is, or becomes, its project."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ml_containerize.errors import PlanError
from ml_containerize.init.repository import Repository
from ml_containerize.plan.model.candidates import is_model, is_onnx_folder, may_be_another_thing
from ml_containerize.plan.model.formats import PREDICTOR, SAVED_MODEL
from ml_containerize.plan.model.unusable import SERVED, UnreadableModel
from ml_containerize.plan.settings.reading import CONFIG_NAME
from ml_containerize.plan.settings.settings import default_name

_MARKS = ("smoke", "requests")  # folders whose JSON files say that the folder above is a project
_TESTS = {"test", "tests"}
# names that say what a folder holds, not which model it is; numbers are TensorFlow Serving's versions
_PLAIN = {"artifact", "artifacts", "export", "exported", "model", "models", "output", "saved_model"}


class NoModels(PlanError):
    """Nothing in the repository is recognised as a model."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"no model was found in {folder}, among the files that git keeps or would keep",
            f"Put one there ({SERVED}); what .gitignore leaves out is not looked at.",
        )


class CrowdedFolder(PlanError):
    """Several models lie where only one can be served."""

    def __init__(self, folder: Path, models: Iterable[Path]) -> None:
        listed = "".join(f"\n  - {model}" for model in sorted(models))
        super().__init__(
            f"several models share the folder {folder}:{listed}",
            "Give each model a folder of its own, which is named after it; or name the one that is meant: "
            f"`model: …` in {folder / CONFIG_NAME}.",
        )


@dataclass(frozen=True, slots=True)
class Start:
    """A model project to be; `model` is None where the project's own config file says which it is."""

    folder: Path
    model: Path | None
    name: str  # the one that it should have, whatever its folder is called


def find_starts(repository: Repository, below: Path) -> tuple[Start, ...]:
    """All projects and models at or below a folder, sorted.

    Raises NoModels, CrowdedFolder and UnreadableModel.
    """
    files = [path for path in repository.files if _is_looked_at(repository.root / path, below)]
    configured = {repository.root / path.parent for path in files if path.name == CONFIG_NAME}
    marked = {repository.root / path.parent.parent for path in files if _is_mark(path)}
    found: dict[Path, list[Path]] = {folder: [] for folder in configured}
    try:
        models = list(_models(repository.root, files))
    except OSError as error:
        raise UnreadableModel(Path(error.filename or below), error) from error
    for model in models:
        folder = _project_of(model, repository.root, marked | configured)
        found.setdefault(folder, []).append(model)
    chosen = {folder: _chosen(folder, found) for folder in found if folder not in configured}
    folders = sorted([*configured, *(folder for folder, model in chosen.items() if model)])
    if not folders:
        raise NoModels(below)
    names = _names(folders, repository)
    return tuple(Start(folder, chosen.get(folder), names[folder]) for folder in folders)


def _is_looked_at(path: Path, below: Path) -> bool:
    """Not what is hidden, nor models that tests bring along; unless the user points there."""
    if not path.is_relative_to(below):
        return False
    inside = path.relative_to(below).parts
    return not any(part.startswith(".") or part in _TESTS for part in inside[:-1])


def _is_mark(path: PurePosixPath) -> bool:
    return path.parent.name in _MARKS and path.suffix == ".json"


def _models(root: Path, files: Sequence[PurePosixPath]) -> Iterator[Path]:
    """Files and folders that are models; what lies in such a folder belongs to it."""
    folders = {root / path.parent for path in files if _makes_a_model_of_its_folder(root, path)}
    yield from folders
    for path in files:
        inside = folders.intersection((root / path).parents)
        if not inside and path.parent.name not in _MARKS and is_model(root / path):
            yield root / path


def _makes_a_model_of_its_folder(root: Path, path: PurePosixPath) -> bool:
    if path.name == PREDICTOR:
        return not (root / path.parent / "__init__.py").exists()  # there it is a module among others
    return path.name == SAVED_MODEL or (path.suffix == ".onnx" and is_onnx_folder(root / path.parent))


def _project_of(model: Path, root: Path, marked: Iterable[Path]) -> Path:
    """The nearest folder that is a project already, else the nearest whose name can name the model."""
    if model == root:
        return root
    above = [folder for folder in model.parents if folder.is_relative_to(root)]
    for folder in above:
        if folder in marked:
            return folder
    return next((folder for folder in above if not _is_plain(folder.name)), root)


def _is_plain(name: str) -> bool:
    return name.lower() in _PLAIN or name.isdigit()


def _chosen(folder: Path, found: dict[Path, list[Path]]) -> Path | None:
    """The folder's one model; none where what looks like one belongs to a model elsewhere."""
    sure = [model for model in found[folder] if not may_be_another_thing(model)]
    if not sure and _has_others(folder, found):
        return None
    models = sure or found[folder]
    if len(models) > 1:
        raise CrowdedFolder(folder, models)
    return models[0]


def _has_others(folder: Path, found: dict[Path, list[Path]]) -> bool:
    """Many a repository keeps its data in pickles, or has a module named like a predictor."""
    unsure = found[folder]
    sure = {other for other, models in found.items() if any(not may_be_another_thing(one) for one in models)}
    pickles = any(one.is_file() for one in unsure)
    return bool(sure) if pickles else bool(sure.intersection((folder, *folder.parents)))


def _names(folders: Sequence[Path], repository: Repository) -> dict[Path, str]:
    """Each folder's own name, the root's after its repository; with the folders above where two are alike."""
    short = {folder: default_name(folder) for folder in folders}
    if repository.root in short:
        short[repository.root] = default_name(Path(repository.name))
    names = list(short.values())
    return {
        folder: name if names.count(name) == 1 else _long_name(folder, repository.root)
        for folder, name in short.items()
    }


def _long_name(folder: Path, root: Path) -> str:
    return default_name(Path("-".join(folder.relative_to(root).parts)))
