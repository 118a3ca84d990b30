"""Requirements files: the ones people write, and the hash-locked ones that environments are built from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as Specified
from packaging.utils import canonicalize_name

from ml_containerize.errors import PlanError

PYTHONS = ("3.11", "3.12", "3.13", "3.14")  # the base image's Python is known only when it is built on

_HASH = re.compile(r"--hash=(sha(?:256|384|512):[0-9a-f]{64,128})")
_COMMENT = re.compile(r"(?:^|\s)#.*$")
_PINNED = re.compile(r"===?[^*]+")


class BadLock(PlanError):
    """Lines of a lock that do not name exact, hashed packages; all of them at once."""

    def __init__(self, lock: Path, problems: list[str]) -> None:
        lines = "".join(f"\n  - {lock.name}:{problem}" for problem in problems)
        super().__init__(
            f"{lock} is not a hash-locked requirements file:{lines}",
            "Write the requirements into requirements.txt and run `ml-containerize lock` on the project.",
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

    >>> str(parse_locked("Flask == 3.1.0 --hash=sha256:" + "0" * 64)).split()[0]
    'flask==3.1.0'
    """
    text, hashes = _HASH.sub("", line).strip(), _HASH.findall(line)
    if text.startswith("-"):
        raise ValueError(f"the option {text.split()[0].split('=')[0]!r} does not belong into a lock")
    specified = _specified(text)
    pin = str(specified.specifier)
    if not _PINNED.fullmatch(pin):
        raise ValueError(f"{specified.name} is not locked to one version")
    if not hashes:
        raise ValueError(f"{specified.name} has no --hash")
    return Requirement(
        name=canonicalize_name(specified.name),
        version=pin.lstrip("="),
        marker=str(specified.marker or ""),
        hashes=tuple(sorted(set(hashes))),
        extras=tuple(sorted(specified.extras)),
    )


def _specified(text: str) -> Specified:
    try:
        specified = Specified(text)
    except InvalidRequirement as error:
        why = "a path or a URL" if "/" in text or text.startswith(".") else "not a requirement"
        raise ValueError(f"{text!r} is {why}") from error
    if specified.url:
        raise ValueError(f"{specified.name} comes from a URL, not from an index")
    return specified


def read_specified(path: Path, seen: frozenset[Path] = frozenset()) -> Iterator[Specified]:
    """The named requirements of a requirements.txt and of what it includes with `-r`."""
    for _, line in logical_lines(read_text(path)):
        included = re.fullmatch(r"(?:-r|--requirement)[\s=]*(\S.*)", line)
        if included:
            inner = path.parent / included[1]
            if inner not in seen:
                yield from read_specified(inner, seen | {inner})
        elif not line.startswith("-"):
            yield from _named(line)


def _named(line: str) -> Iterator[Specified]:
    """Nothing for a path or a URL without a name: the lock that it leads to is refused anyway."""
    try:
        yield Specified(_HASH.sub("", line).strip())
    except InvalidRequirement:
        return


def unsatisfied(wanted: Iterable[Specified], locked: Iterable[Requirement]) -> list[str]:
    """The requirements that no locked package meets, on any Python that a base image may have."""
    versions: dict[str, list[str]] = {}
    for requirement in locked:
        versions.setdefault(requirement.name, []).append(requirement.version)
    return [
        str(one)
        for one in wanted
        if _applies(one)
        and not any(
            one.specifier.contains(version, prereleases=True)
            for version in versions.get(canonicalize_name(one.name), ())
        )
    ]


def _applies(specified: Specified) -> bool:
    linux = {"sys_platform": "linux", "os_name": "posix", "platform_system": "Linux"}
    pythons = ({"python_version": one, "python_full_version": f"{one}.0"} for one in PYTHONS)
    marker = specified.marker
    return marker is None or any(marker.evaluate(linux | python) for python in pythons)


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
    for number, line in enumerate(text.splitlines(), 1):
        start = start if parts else number
        continued = line.endswith("\\")
        parts.append(_COMMENT.sub("", line.removesuffix("\\")))
        if not continued:
            joined = " ".join(part.strip() for part in parts).strip()
            parts = []
            if joined:
                yield start, joined
    if joined := " ".join(part.strip() for part in parts).strip():
        yield start, joined
