"""Which model projects a job is about: all of a repository, the changed ones, those that a tag releases."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ml_containerize.command import Run
from ml_containerize.errors import PlanError, UsageError
from ml_containerize.plan.git.git import Git
from ml_containerize.plan.git.github import Workflow
from ml_containerize.plan.git.paths import matches
from ml_containerize.plan.git.release_tag import parse_release
from ml_containerize.plan.monorepo.changed import Changes, find_changed
from ml_containerize.plan.monorepo.projects import Project, find_projects, refuse_shared_names
from ml_containerize.plan.settings.problems import Problem, WrongSettings, nearest
from ml_containerize.plan.settings.reading import Reading, shown
from ml_containerize.results import Json


class NotARepository(PlanError):
    """Model projects are searched among what git tracks, and there is no repository."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"{folder} is not in a git repository",
            "Run the command in a checkout; in a container, one whose image has git.",
        )


class NoSuchModels(PlanError):
    """The patterns in `paths` cover no model project."""

    def __init__(self, patterns: tuple[str, ...], projects: tuple[Project, ...]) -> None:
        listed = ", ".join(project.path for project in projects[:10]) or "none"
        super().__init__(
            f"no model project is at {', '.join(map(repr, patterns))}; there are: {listed}",
            "Patterns start at the repository's root, such as models/*.",
        )


class TooManyModels(UsageError):
    """More models than a matrix may have jobs."""

    def __init__(self, count: int, most: int) -> None:
        super().__init__(
            f"{count} models were found, and at most {most} are accepted",
            "Split them over several workflows by `paths`, or raise `max-models` (256 at most).",
        )


class NoVersion(PlanError):
    """The tag that should release models is no version."""

    def __init__(self, tag: str) -> None:
        super().__init__(
            f"the tag {tag!r} is no version, so it releases nothing",
            "Name it v1.2.3 to release every model, or NAME/v1.2.3 to release one.",
        )


class NoSuchModel(PlanError):
    """The tag that should release a model names none."""

    def __init__(self, tag: str, name: str, projects: tuple[Project, ...]) -> None:
        names = [project.name for project in projects]
        super().__init__(
            f"the tag {tag!r} names the model {name!r}, which is not here{nearest(name, names)}",
            f"Models here: {', '.join(names) or 'none'}. Delete the tag, and tag the commit anew.",
        )


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked of the command `models`; `root` and `here` are absolute."""

    root: Path
    here: Path
    changed: bool
    since: str
    tag: str
    paths: tuple[str, ...]
    shared: tuple[str, ...]
    most: int


@dataclass(frozen=True, slots=True)
class Selection:
    """The projects that were asked for, with their paths as a person in the current folder types them."""

    projects: tuple[Project, ...]
    paths: tuple[str, ...]
    everything: bool
    reason: str

    def matrix(self) -> Json:
        """A matrix for GitHub, one job a project."""
        jobs = zip(self.projects, self.paths, strict=True)
        return {"include": [{"name": project.name, "path": path} for project, path in jobs]}

    def as_json(self) -> Json:
        return {**self.matrix(), "all": self.everything, "reason": self.reason}

    def outputs(self) -> dict[str, str]:
        """The step's outputs in GitHub Actions."""
        return {
            "models": json.dumps(self.matrix(), separators=(",", ":")),
            "count": str(len(self.projects)),
            "any": "true" if self.projects else "false",
            "reason": self.reason,
        }


def load_wanted(
    root: Path, flags: Mapping[str, object], tag: str, environ: Mapping[str, str], here: Path | None = None
) -> Wanted:
    """Read flags and variables; a flag wins. Raises WrongSettings with every problem."""
    folder = here or Path.cwd()
    reading = Reading(root, folder)
    values = reading.defaults() | reading.environment(environ) | reading.flags(flags)
    if not root.is_dir():
        reading.problems.append(Problem(f"{str(root)!r} is not a folder", where="path"))
    if tag and (values["changed"] or values["since"]):
        reading.problems.append(Problem("a release is not about what changed", where="--tag"))
    if reading.problems:
        raise WrongSettings(reading.problems)
    return Wanted(
        root=root,
        here=folder,
        changed=values["changed"] or bool(values["since"]),
        since=values["since"],
        tag=tag,
        paths=values["paths"],
        shared=values["shared"],
        most=values["max-models"],
    )


def select(wanted: Wanted, *, run: Run, environ: Mapping[str, str]) -> Selection:
    """Find the projects and choose among them.

    Raises NotARepository, NoSuchModels, NoVersion, NoSuchModel, TooManyModels, SharedName, and what
    `find_projects` raises.
    """
    git = Git.open(wanted.root, run, environ)
    if git is None:
        raise NotARepository(wanted.root)
    projects = _asked_for(find_projects(git, environ), git.root, wanted)
    refuse_shared_names(projects)
    chosen = _choose(projects, git, wanted, Workflow.read(environ))
    if len(chosen.projects) > wanted.most:
        raise TooManyModels(len(chosen.projects), wanted.most)
    here = wanted.here.resolve()
    paths = tuple(shown(Path(os.path.normpath(git.root / one.path)), here) for one in chosen.projects)
    return Selection(chosen.projects, paths, chosen.everything, chosen.reason)


def _asked_for(found: tuple[Project, ...], top: Path, wanted: Wanted) -> tuple[Project, ...]:
    root = wanted.root.resolve()
    below = tuple(one for one in found if (top / one.path).is_relative_to(root))
    if not wanted.paths:
        return below
    matching = tuple(one for one in below if any(matches(one.path, pattern) for pattern in wanted.paths))
    if not matching:
        raise NoSuchModels(wanted.paths, below)
    return matching


def _choose(projects: tuple[Project, ...], git: Git, wanted: Wanted, workflow: Workflow | None) -> Changes:
    if wanted.changed:
        return find_changed(git, workflow, wanted.since, projects, wanted.shared)
    tag = wanted.tag or (workflow.tag if workflow else "")
    if tag:
        return released(tag, projects)
    return Changes(projects, True, "all models: nothing narrows them down")


def released(tag: str, projects: tuple[Project, ...]) -> Changes:
    """The projects that a tag releases. Raises NoVersion or NoSuchModel."""
    release = parse_release(tag)
    if release is None:
        raise NoVersion(tag)
    if not release.name:
        return Changes(projects, True, f"all models: the tag {tag!r} releases them")
    named = tuple(one for one in projects if one.name == release.name)
    if not named:
        raise NoSuchModel(tag, release.name, projects)
    return Changes(named, False, f"the tag {tag!r} releases {release.name}")
