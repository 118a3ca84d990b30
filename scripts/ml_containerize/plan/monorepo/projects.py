"""The model projects of a repository: folders with a config file, or with a model and smoke cases.

Only what git tracks counts, so that no virtual environment or build output is taken for a project.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ml_containerize.errors import PlanError
from ml_containerize.plan.git.git import Git, Tracked
from ml_containerize.plan.git.paths import is_below, parent, upwards
from ml_containerize.plan.model.candidates import DEPTH, is_model
from ml_containerize.plan.model.formats import PREDICTOR, SAVED_MODEL, SUFFIXES
from ml_containerize.plan.model.lfs import POINTER_LIMIT, is_pointer
from ml_containerize.plan.monorepo.outside import outer_files
from ml_containerize.plan.settings.reading import CONFIG_NAME, Reading
from ml_containerize.plan.settings.settings import default_name

_SMOKE = "smoke"


class UnusableFolder(PlanError):
    """A model project's folder has a name that cannot be handed from one job to another."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"the model project {path!r} cannot be used: {why}", "Rename the folder.")


class NamelessProject(PlanError):
    """A model project has neither a name of its own nor a folder that gives it one."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"the model project {path!r} has no name: its folder has no a-z or 0-9 to make one of",
            f"Set `name` in {path}/{CONFIG_NAME}.",
        )


class SharedName(PlanError):
    """Two model projects have the same name, and would publish under one image."""

    def __init__(self, name: str, paths: Iterable[str]) -> None:
        listed = "".join(f"\n  - {path}" for path in paths)
        super().__init__(
            f"more than one model project is named {name!r}:{listed}",
            f"Set `name` in the {CONFIG_NAME} of one of them, or leave one out with `paths`.",
        )


@dataclass(frozen=True, slots=True)
class Project:
    """One model project; `path` is its folder below the repository's root, '.' for the root itself."""

    name: str
    path: str
    outside: tuple[str, ...] = ()  # files and folders elsewhere in the repository that it is made of
    problem: str = ""  # why its config file cannot be read


def find_projects(git: Git, environ: Mapping[str, str]) -> tuple[Project, ...]:
    """All model projects of the repository, sorted by path. Raises UnusableFolder and NamelessProject."""
    files = git.files()
    links = [file.path for file in files if file.link]
    return tuple(_read(git.root, folder, links, environ) for folder in sorted(_folders(git.root, files)))


def refuse_shared_names(projects: Iterable[Project]) -> None:
    """Raises SharedName."""
    paths: dict[str, list[str]] = {}
    for project in projects:
        paths.setdefault(project.name, []).append(project.path)
    for name, same in paths.items():
        if len(same) > 1:
            raise SharedName(name, same)


def _folders(root: Path, files: Iterable[Tracked]) -> set[str]:
    paths = [file.path for file in files]
    configured = {parent(path) for path in _named(paths, CONFIG_NAME) if (root / path).is_file()}
    cases = (path for path in paths if path.endswith(".json"))
    smoked = {parent(folder) for folder in _named(map(parent, cases), _SMOKE)}
    return configured | set(_with_model(root, paths, smoked - configured, smoked | configured))


def _named(paths: Iterable[str], name: str) -> Iterator[str]:
    return (path for path in paths if path == name or path.endswith(f"/{name}"))


def _with_model(root: Path, paths: Iterable[str], wanted: set[str], marked: set[str]) -> Iterator[str]:
    """Those of the wanted folders that hold a model which belongs to no folder further inside."""
    for path in paths if wanted else ():
        above = islice(upwards(parent(path)), DEPTH + 1)
        owner = next((folder for folder in above if folder in marked), "")
        if owner in wanted and _is_model(root / path):
            wanted.discard(owner)
            yield owner


def _is_model(path: Path) -> bool:
    """Also a file of Git LFS that was not fetched, of whose content nothing is known."""
    if path.parent.name == _SMOKE or not path.is_file():
        return False
    return path.name in {PREDICTOR, SAVED_MODEL} or is_model(path) or _is_unfetched(path)


def _is_unfetched(path: Path) -> bool:
    if path.suffix not in SUFFIXES:
        return False
    with path.open("rb") as stream:
        return is_pointer(stream.read(POINTER_LIMIT))


def _read(root: Path, path: str, links: Iterable[str], environ: Mapping[str, str]) -> Project:
    _refuse_unusable(path)
    folder = root / path
    reading = Reading(folder, root)
    typed = reading.environment(environ)
    written = reading.config(None)[1]
    values = written | typed
    name = values.get("name") or default_name(folder)
    if not name:
        raise NamelessProject(path)
    problem = str(reading.problems[0]) if reading.problems else ""
    inside = [link for link in links if is_below(link, path)]
    return Project(name, path, tuple(outer_files(root, path, values, inside)), problem)


def _refuse_unusable(path: str) -> None:
    if "\N{REPLACEMENT CHARACTER}" in path:
        raise UnusableFolder(path, "its name is not UTF-8")
    if not path.isprintable():
        raise UnusableFolder(path, "its name holds control characters")
    if path != path.strip():
        raise UnusableFolder(path, "its name begins or ends with a space")
