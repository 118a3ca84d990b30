"""Which packages a project is served with: its lock, held against what it and the model server ask for."""

from __future__ import annotations

import re
from collections.abc import Container
from pathlib import Path

from ml_containerize.errors import PlanError
from ml_containerize.plan.environment.requirements import Requirement, logical_lines, read_lock, read_text
from ml_containerize.plan.model.runtimes import runtime_lock, runtime_requirements

FULL_RUNTIMES = {  # the second does all that the first does
    "tensorflow-cpu": "tensorflow",
    "xgboost-cpu": "xgboost",
    "onnxruntime": "onnxruntime-gpu",
}
_ONLY_CPU = re.compile(r"\+cpu\b")  # PyTorch's builds differ in this label of their version only
SMALLER = {full: small for small, full in FULL_RUNTIMES.items()}  # on some platforms only one of them exists


class RequirementsNotFound(PlanError):
    """The requirements file that the settings name does not exist."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} does not exist", "Correct `requirements`, or leave it out.")


class NotLocked(PlanError):
    """The project has requirements but no lock for them."""

    def __init__(self, requirements: Path, lock: Path) -> None:
        super().__init__(
            f"{requirements} has no {lock.name} beside it",
            f"Run `ml-containerize lock {requirements.parent}` and commit the lock.",
        )


class StaleLock(PlanError):
    """The lock does not contain what the project's requirements ask for."""

    def __init__(self, lock: Path, missing: list[str]) -> None:
        super().__init__(
            f"{lock} is out of date, it has nothing for: {', '.join(missing)}",
            f"Run `ml-containerize lock {lock.parent}` and commit the lock.",
        )


class ServerNotLocked(PlanError):
    """The lock does not contain what the model server needs."""

    def __init__(self, lock: Path, missing: list[str]) -> None:
        super().__init__(
            f"{lock} lacks what the model server needs: {', '.join(missing)}",
            f"Run `ml-containerize lock {lock.parent}`, which adds it, and commit the lock.",
        )


def requirement_files(project: Path, named: Path | None) -> tuple[Path, Path]:
    """The requirements as people write them, and their lock; either may be missing on disk."""
    path = named or project / "requirements.txt"
    return (path.with_suffix(".txt"), path) if path.suffix == ".lock" else (path, path.with_suffix(".lock"))


def locked_packages(
    project: Path, named: Path | None, serving: Path, runtime: str
) -> tuple[Path, tuple[Requirement, ...]]:
    """The lock that serves the project and its packages; the product's own where the project has none.

    Raises RequirementsNotFound, NotLocked, StaleLock, ServerNotLocked, BadLock or UnreadableRequirements.
    """
    written, lock = requirement_files(project, named)
    if named and not named.is_file():
        raise RequirementsNotFound(named)
    if not lock.is_file():
        if written.is_file():
            raise NotLocked(written, lock)
        lock = runtime_lock(serving, runtime)
    locked = read_lock(lock)
    if written.is_file():
        _refuse_stale(written, lock, locked)
    names = {one.name for one in locked}
    needs = server_needs(serving, runtime, names)
    missing = [name for name, _ in needs if not names & {name, SMALLER.get(name)}]
    if missing:
        raise ServerNotLocked(lock, missing)
    return lock, locked


def _refuse_stale(written: Path, lock: Path, locked: tuple[Requirement, ...]) -> None:
    from ml_containerize.plan.environment.specified import read_specified, unsatisfied

    if missing := unsatisfied(read_specified(written), locked):
        raise StaleLock(lock, missing)


def server_needs(serving: Path, runtime: str, names: Container[str]) -> list[tuple[str, str]]:
    """Name and line of each requirement of the server, the fuller package where it is among `names`."""
    files = runtime_requirements(serving, runtime)
    lines = (line for file in files for _, line in logical_lines(read_text(file)))
    return [_fitted(line, names) for line in lines if not line.startswith("-")]  # no `-r server.in`


def _fitted(line: str, names: Container[str]) -> tuple[str, str]:
    written = re.split(r"[^\w.-]", line, maxsplit=1)[0]
    fuller = FULL_RUNTIMES.get(written, written)
    name = fuller if fuller in names else written
    asked = line.removeprefix(written)
    return name, name + (_ONLY_CPU.sub("", asked) if name in names else asked)
