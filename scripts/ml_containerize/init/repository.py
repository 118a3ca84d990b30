"""What a repository tells of itself: its files, its branch, and where it is published."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ml_containerize.command import Run
from ml_containerize.errors import PlanError, UsageError
from ml_containerize.plan.git.git import Git

_GITHUB = re.compile(r"https://github\.com/([A-Za-z0-9][A-Za-z0-9-]*)/([\w.-]+)")


class NoRepository(PlanError):
    """There is no git repository that workflows could run in."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"{folder} is not in a git repository",
            "Run `git init` first: images are named after commits, and workflows run where they are pushed.",
        )


class UnknownRegistry(UsageError):
    """The repository is not on github.com, whose registry would be the natural one."""

    def __init__(self, url: str) -> None:
        super().__init__(
            f"the repository comes from {url}, and that does not tell where its images should go",
            "Name the place: --images 'registry.example.org/team/{name}'.",
        )


@dataclass(frozen=True, slots=True)
class Repository:
    """A checkout; `files` are those that git keeps or would keep, relative to `root`."""

    root: Path
    files: tuple[PurePosixPath, ...]
    branch: str  # that releases come from
    url: str  # '' where it has no remote yet

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2] or self.root.name

    def images(self) -> str:
        """The names of images on GitHub's own registry. Raises UnknownRegistry."""
        known = _GITHUB.fullmatch(self.url)
        if self.url and not known:
            raise UnknownRegistry(self.url)
        owner = known[1].lower() if known else "${{ github.repository_owner }}"
        return f"ghcr.io/{owner}/{{name}}"


def look(folder: Path, run: Run, environ: Mapping[str, str]) -> Repository:
    """The repository around the folder. Raises NoRepository, and what asking git raises."""
    git = Git.open(folder, run, environ)
    if git is None:
        raise NoRepository(folder)
    new = [one.path.relative_to(git.root) for one in git.changes([git.root]) if one.untracked]
    known = [PurePosixPath(one.path) for one in git.files() if (git.root / one.path).exists()]
    files = sorted({*known, *(PurePosixPath(path) for path in new)})
    return Repository(git.root, tuple(files), git.default_branch() or "main", git.url())
