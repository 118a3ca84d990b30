"""Hash-locked requirements files, as pip and uv write them; environments are built from nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ml_containerize.errors import PlanError

_HASH = re.compile(r"\s--hash=(sha(?:256|384|512):[0-9a-f]{64,128})\b")
_COMMENT = re.compile(r"(?:^|\s)#.*$")
_LOCKED = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)\s*"
    r"(?:\[(?P<extras>[\w\s.,-]*)\])?\s*"
    r"===?\s*(?P<version>[\w.!+-]+)\s*"
    r"(?:;\s*(?P<marker>.+))?",
    re.ASCII,
)


class BadLock(PlanError):
    """Lines of a lock that do not name exact, hashed packages; all of them at once."""

    def __init__(self, lock: Path, problems: list[str]) -> None:
        lines = "".join(f"\n  - {lock.name}:{problem}" for problem in problems)
        super().__init__(
            f"{lock} is not a hash-locked requirements file:{lines}",
            "Write what you need into requirements.txt and run `ml-containerize lock` on the project.",
        )


class UnreadableRequirements(PlanError):
    """A requirements file cannot be read."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path} cannot be read: {why}", "Make it a readable UTF-8 text file.")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One locked package: its canonical name, its exact version, its marker and its hashes."""

    name: str
    version: str
    marker: str  # "" where it always applies
    hashes: tuple[str, ...]  # sorted, "sha256:<64 hex>"
    extras: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The requirement as one normalised line of a hash-locked requirements file."""
        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        marker = f" ; {self.marker}" if self.marker else ""
        hashes = "".join(f" --hash={value}" for value in self.hashes)
        return f"{self.name}{extras}=={self.version}{marker}{hashes}"


def read_lock(lock: Path) -> tuple[Requirement, ...]:
    """Every locked package, in the file's order. Raises BadLock or UnreadableRequirements."""
    found: list[Requirement] = []
    problems: list[str] = []
    for number, line in logical_lines(read_text(lock)):
        try:
            found.append(parse_locked(line))
        except ValueError as error:
            problems.append(f"{number}: {error}")
    if problems:
        raise BadLock(lock, problems)
    return tuple(found)


def parse_locked(line: str) -> Requirement:
    """Parse one logical line; raises ValueError that says why it locks nothing.

    >>> parse_locked("Flask [async]== 3.1.0 --hash=sha256:" + "0" * 64).name
    'flask'
    """
    text, hashes = _HASH.sub("", line).strip(), _HASH.findall(line)
    locked = _LOCKED.fullmatch(text)
    if not locked or "--" in text:
        raise ValueError(_why_not(text))
    if not hashes:
        raise ValueError(f"{locked['name']} has no --hash")
    return Requirement(
        name=canonical(locked["name"]),
        version=locked["version"],
        marker=" ".join((locked["marker"] or "").split()),
        hashes=tuple(sorted(set(hashes))),
        extras=tuple(sorted(canonical(one) for one in re.findall(r"[\w.-]+", locked["extras"] or ""))),
    )


def _why_not(text: str) -> str:
    option = re.search(r"(?:^|\s)(--?[A-Za-z][\w-]*)", text)
    if option:
        return f"the option {option[1]} has no place in a lock"
    if re.search(r"[/@]|^\.", text):
        return f"{text.split()[0]} comes from a path or a URL, not from an index"
    return f"{text} is not locked to one version"


def canonical(name: str) -> str:
    """https://packaging.python.org/en/latest/specifications/name-normalization/"""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise UnreadableRequirements(path, error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise UnreadableRequirements(path, "it is not UTF-8") from error


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines without comments, joined where a backslash continues them, with the first one's number."""
    start = 0
    parts: list[str] = []
    for number, line in enumerate([*text.splitlines(), ""], 1):
        start = start if parts else number
        parts.append(_COMMENT.sub("", line.removesuffix("\\")).strip())
        if not line.endswith("\\"):
            joined = " ".join(part for part in parts if part)
            parts = []
            if joined:
                yield start, joined
