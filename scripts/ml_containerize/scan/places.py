"""Where in the repository a finding can be mended: the model's file, the lock's line, the base image's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from packaging.utils import canonicalize_name

from ml_containerize.plan.decide import Plan
from ml_containerize.results import Finding

_LOCKED = re.compile(r"([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?==", re.ASCII)
_BASE = re.compile(r"base-image\s*:")
_SECRET_LINE = re.compile(r", line ([1-9][0-9]{0,6})$")


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file by its URI relative to the repository's root, and how many characters it has."""

    uri: str
    line: int = 1
    width: int = 1


@dataclass(frozen=True, slots=True)
class Places:
    """The places of one model project; what lies elsewhere is named by its path inside the image."""

    packages: Mapping[str, Place]  # by canonical name
    files: Mapping[str, str]  # a URI by path inside the image
    config: Place | None

    @classmethod
    def of(cls, plan: Plan) -> Places:
        root = _root(plan.settings.project)
        files = {str(file.image_path): _uri(file.source, root) for file in plan.model.files}
        return cls(
            packages=_packages(plan.environment.lock, root),
            files={path: uri for path, uri in files.items() if uri},
            config=_config(plan.settings.config, root),
        )

    def find(self, finding: Finding) -> Place:
        path = finding.path.lstrip("/")
        if path in self.files:
            line = _SECRET_LINE.search(finding.title) if finding.kind == "secret" else None
            return Place(self.files[path], int(line[1]) if line else 1)
        if finding.purl.startswith("pkg:pypi/"):
            locked = self.packages.get(canonicalize_name(finding.package))
            if locked:
                return locked
        if finding.kind == "vulnerability" and not path and self.config:
            return self.config
        return Place(_quoted(path or finding.target or finding.package) or "image")


def _root(project: Path) -> Path:
    """The repository that holds the project, otherwise the project itself."""
    folders = (project, *project.parents)
    return next((folder for folder in folders if (folder / ".git").exists()), project).resolve()


def _uri(path: Path, root: Path) -> str:
    """'' for a file outside the repository; links are resolved, as GitHub shows nothing at one."""
    real = path.resolve()
    return _quoted(real.relative_to(root).as_posix()) if real.is_relative_to(root) else ""


def _quoted(path: str) -> str:
    """A path as a relative URI; names that are no UTF-8 are told with question marks."""
    return quote(path.encode(errors="replace"), safe="/")


def _lines(path: Path | None) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines() if path else []
    except (OSError, ValueError):
        return []


def _packages(lock: Path, root: Path) -> dict[str, Place]:
    uri = _uri(lock, root)
    found: dict[str, Place] = {
        canonicalize_name(match[1]): Place(uri, number, len(line))
        for number, line in enumerate(_lines(lock), 1)
        if (match := _LOCKED.match(line))
    }
    return found if uri else {}


def _config(config: Path | None, root: Path) -> Place | None:
    """The line that chooses the base image, or the file's first."""
    lines, uri = _lines(config), _uri(config, root) if config else ""
    chosen = (Place(uri, number, len(line)) for number, line in enumerate(lines, 1) if _BASE.match(line))
    return next(chosen, Place(uri)) if uri else None
