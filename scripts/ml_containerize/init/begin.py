"""Write what a repository lacks to have its models checked and released; what is there stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from shutil import copyfile

from ml_containerize.command import Run
from ml_containerize.console import Console
from ml_containerize.errors import ContainerizeError
from ml_containerize.init.desk import Desk
from ml_containerize.init.projects import Start, find_starts
from ml_containerize.init.repository import Repository, look
from ml_containerize.init.texts import LOGIN, config_text, is_at_github, workflow_text
from ml_containerize.plan.chosen import Chosen, choose_model
from ml_containerize.plan.environment.locked import requirement_files
from ml_containerize.plan.environment.serving import serving_folder
from ml_containerize.plan.model.candidates import ModelNotFound, SeveralModels, find_model
from ml_containerize.plan.model.runtimes import runtime_lock
from ml_containerize.plan.model.unusable import UnknownFormat
from ml_containerize.plan.settings.reading import CONFIG_NAME
from ml_containerize.plan.settings.settings import Settings, default_name, load_settings

WORKFLOW = PurePosixPath(".github/workflows/ml-containerize.yml")
_CALLED = b"org/ml-containerize"  # a workflow that says so has its models checked already
_WRITTEN_FLAGS = ("backend", "allow-pickle")  # of the model itself: the config file keeps them


@dataclass(frozen=True, slots=True)
class Stages:
    """What other stages do for a project: lock its requirements, and record its first cases."""

    lock: Callable[[Settings], Path]
    record: Callable[[Settings], tuple[Path, ...]]


@dataclass(frozen=True, slots=True)
class Project:
    """A start whose model is known and can be served, and what its config file says or is to say."""

    start: Start
    settings: Settings
    chosen: Chosen
    config: Mapping[str, str | bool]


def begin(
    folder: Path,
    flags: Mapping[str, object],
    stages: Stages,
    *,
    dry_run: bool,
    run: Run,
    environ: Mapping[str, str],
    console: Console,
) -> tuple[Path, ...]:
    """Find the models at or below the folder and write what they lack; returns the files (to be) written.

    Everything is looked at before anything is written, and models are asked last. Raises what `look`,
    `find_starts`, `load_settings`, `choose_model` and the stages raise.
    """
    repository = look(folder, run, environ)
    below = repository.root / folder.resolve().relative_to(repository.root.resolve())
    starts = find_starts(repository, below)
    projects = [_understood(start, repository, flags, environ) for start in starts]
    images = _images(flags, repository)
    desk = Desk(repository.root, console, dry_run)
    for project in projects:
        _write_config_and_lock(project, stages, desk)
    _write_workflow(repository, images, desk)
    _record_cases(projects, stages, desk)
    console.line(_next_step(repository, images, desk))
    return tuple(desk.written)


def _understood(
    start: Start, repository: Repository, flags: Mapping[str, object], environ: Mapping[str, str]
) -> Project:
    """The project as it will be once its config file is there."""
    if start.model is None:
        settings = load_settings(start.folder, flags, environ)
        return Project(start, settings, choose_model(settings), {})
    config = _config(start, repository, flags)
    settings = load_settings(start.folder, {**flags, **config, "model": str(start.model)}, environ)
    return Project(start, settings, choose_model(settings), config)


def _config(start: Start, repository: Repository, flags: Mapping[str, object]) -> dict[str, str | bool]:
    """What differs from the defaults; the root's folder is named by whoever clones it."""
    assert start.model  # noqa: S101 - a project with a config file has none to come
    values: dict[str, str | bool] = {}
    if start.folder == repository.root or start.name != default_name(start.folder):
        values["name"] = start.name
    if not _is_found_by_itself(start.model, start.folder):
        values["model"] = str(start.model.relative_to(start.folder))
    for flag in _WRITTEN_FLAGS:
        match flags.get(flag):
            case bool(value):
                values[flag] = value
            case str(value):
                values[flag] = value
    return values


def _is_found_by_itself(model: Path, folder: Path) -> bool:
    try:
        return find_model(None, folder, folder / ".ml-containerize") == model
    except (SeveralModels, ModelNotFound, UnknownFormat):
        return False


def _images(flags: Mapping[str, object], repository: Repository) -> str:
    """Names that were given, else those on GitHub's registry. Raises UnknownRegistry."""
    match flags.get("images"):
        case [_, *_] as names:
            return "\n".join(map(str, names))
    return repository.images()


def _write_config_and_lock(project: Project, stages: Stages, desk: Desk) -> None:
    """Without requirements of its own, a project is locked to what the server was tried with."""
    settings, folder = project.settings, project.start.folder
    shown = project.chosen.root.relative_to(folder) if project.chosen.root.is_relative_to(folder) else ""
    desk.write(folder / CONFIG_NAME, lambda: config_text(project.config, str(shown)))
    written, target = requirement_files(settings.project, settings.requirements)
    existing = [target] if target.exists() else []
    if written.is_file():
        desk.have(target, existing, lambda: (stages.lock(settings),))
    else:
        tried = runtime_lock(serving_folder(), project.chosen.runtime)
        desk.have(target, existing, lambda: (Path(copyfile(tried, target)),))


def _write_workflow(repository: Repository, images: str, desk: Desk) -> None:
    folder = repository.root / WORKFLOW.parent
    present = (path for path in sorted(folder.glob("*.y*ml")) if path.is_file())
    calling = [path for path in present if _CALLED in path.read_bytes()]
    target = repository.root / WORKFLOW
    if calling and target not in calling:
        desk.keep(calling[0])
    else:
        desk.write(target, lambda: workflow_text(images, repository.branch))


def _record_cases(projects: Sequence[Project], stages: Stages, desk: Desk) -> None:
    """Record each project's first cases; one whose model cannot be asked keeps no other from it."""
    failures = []
    for project in projects:
        settings = project.settings
        cases = sorted(settings.project.glob(settings.smoke_cases))
        try:
            wanted = settings.project / settings.smoke_cases
            desk.have(wanted, cases, partial(stages.record, settings))
        except ContainerizeError as error:
            failures.append(error)
    for failure in failures[1:]:
        desk.console.error(failure.title, str(failure))
    if failures:
        raise failures[0]


def _next_step(repository: Repository, images: str, desk: Desk) -> str:
    if not desk.written:
        return "nothing is missing"
    if desk.dry_run:
        return "nothing was written"
    where = images.replace("\n", ", ")
    login = "" if is_at_github(images) else f"; {LOGIN}"
    return (
        f"commit these files: pull requests are then checked, and pushes to {repository.branch} and tags "
        f"such as v1.2.3 publish {where}{login}"
    )
