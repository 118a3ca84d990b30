"""Locking: a project's requirements and the model server's, resolved together into exact, hashed packages."""

from __future__ import annotations

import os
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory

from ml_containerize.command import Run
from ml_containerize.errors import EnvironmentMissing, PlanError
from ml_containerize.plan.chosen import choose_model
from ml_containerize.plan.environment.locked import RequirementsNotFound, requirement_files, server_needs
from ml_containerize.plan.environment.requirements import canonical, logical_lines, read_text
from ml_containerize.plan.environment.serving import serving_folder
from ml_containerize.plan.environment.specified import PYTHONS, read_specified
from ml_containerize.plan.model.candidates import ModelNotFound
from ml_containerize.plan.model.runtimes import CPU_LABEL, CPU_ONLY, SERVER_ONLY
from ml_containerize.plan.settings.settings import load_settings

TIME_LIMIT = 600.0  # seconds

_OPTIONS = ("--universal", "--generate-hashes", "--no-header", "--no-annotate", "--quiet")


class LockFailed(PlanError):
    """The requirements have no solution, or no index answered."""

    def __init__(self, requirements: Path, why: str) -> None:
        usual = "Correct the requirements; where packages come from your own index, set UV_DEFAULT_INDEX."
        super().__init__(
            f"{requirements} could not be locked:\n{why}", CPU_ONLY if CPU_LABEL in why else usual
        )


class ForeignRequirement(PlanError):
    """A requirement names a place instead of a package."""

    def __init__(self, requirements: Path, lines: list[str]) -> None:
        super().__init__(
            f"{requirements} names places, not packages: {', '.join(lines)}",
            "Require versions of published packages; URLs and paths cannot be locked for other machines.",
        )


class UvMissing(EnvironmentMissing):
    """The program that resolves packages is not there."""

    def __init__(self) -> None:
        super().__init__("The program uv is not installed", "Install ml-containerize again; it brings uv.")


def lock(project: Path, *, run: Run, requirements: Path | None = None, upgrade: bool = False) -> Path:
    """Write the lock beside the requirements and return its path; versions stay unless `upgrade`.

    What serves the project's model is locked along; where there is no model yet, only what serves any.
    Raises RequirementsNotFound, LockFailed, ForeignRequirement, UvMissing or UnreadableRequirements, and
    what choosing the model raises.
    """
    written, target = requirement_files(project, requirements)
    if requirements and not written.is_file():
        raise RequirementsNotFound(written)
    with TemporaryDirectory(dir=target.parent, prefix=".lock-") as folder:
        draft = Path(folder) / target.name
        if target.is_file() and not upgrade:
            copyfile(target, draft)
        _compile(written, draft, _runtime(project), run)
        foreign = [line.split()[0] for _, line in logical_lines(read_text(draft)) if "://" in line]
        if foreign:
            raise ForeignRequirement(written, foreign)
        os.replace(draft, target)  # noqa: PTH105
    return target


def _runtime(project: Path) -> str:
    try:
        return choose_model(load_settings(project, {}, {})).runtime
    except ModelNotFound:
        return SERVER_ONLY


def _compile(written: Path, draft: Path, runtime: str, run: Run) -> None:
    """Let uv resolve both files; it prefers the versions that `draft` already holds."""
    sources = [written.name, "-"] if written.is_file() else ["-"]
    argv = [_find_uv(), "pip", "compile", *_OPTIONS, "--python-version", PYTHONS[0]]
    argv += ["--output-file", str(draft), *sources]
    try:
        done = run(argv, cwd=written.parent, stdin=_server_lines(written, runtime), timeout=TIME_LIMIT)
    except FileNotFoundError as error:
        raise UvMissing from error
    except TimeoutError as error:
        raise LockFailed(written, str(error)) from error
    if not done.ok:
        raise LockFailed(written, done.stderr.strip())


def _server_lines(written: Path, runtime: str) -> str:
    """The server's requirements, fitted to the packages that the project asks for itself."""
    asked = {canonical(one.name) for one in read_specified(written)} if written.is_file() else set()
    return "".join(f"{line}\n" for _, line in server_needs(serving_folder(), runtime, asked))


def _find_uv() -> str:
    from uv import find_uv_bin

    try:
        return find_uv_bin()
    except FileNotFoundError as error:
        raise UvMissing from error
