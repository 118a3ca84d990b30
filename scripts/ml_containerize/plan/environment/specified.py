"""Requirements as people write them, held against what a lock contains."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as Specified

from ml_containerize.plan.environment.requirements import Requirement, canonical, logical_lines, read_text

PYTHONS = ("3.11", "3.12", "3.13", "3.14")  # which one the base image has is found only when it is built on

_LINUX = {"sys_platform": "linux", "os_name": "posix", "platform_system": "Linux"}


def read_specified(path: Path, seen: frozenset[Path] = frozenset()) -> Iterator[Specified]:
    """The named requirements of a requirements.txt and of what it includes with `-r`.

    A path or a URL without a name is left out: locking it is refused anyway.
    """
    for _, line in logical_lines(read_text(path)):
        included = re.fullmatch(r"(?:-r|--requirement)[\s=]*(\S.*)", line)
        if included and (inner := (path.parent / included[1]).resolve()) not in seen:
            yield from read_specified(inner, seen | {path.resolve()})
        elif not line.startswith("-"):
            yield from _named(re.sub(r"\s--hash=\S+", "", line))


def _named(line: str) -> Iterator[Specified]:
    try:
        yield Specified(line)
    except InvalidRequirement:
        return


def unsatisfied(wanted: Iterable[Specified], locked: Iterable[Requirement]) -> list[str]:
    """The requirements that no locked package meets although they apply to a Python that may serve."""
    versions: dict[str, list[str]] = {}
    for requirement in locked:
        versions.setdefault(requirement.name, []).append(requirement.version)
    return [
        str(one)
        for one in wanted
        if _applies(one)
        and not any(
            one.specifier.contains(version, prereleases=True)
            for version in versions.get(canonical(one.name), ())
        )
    ]


def _applies(specified: Specified) -> bool:
    pythons = ({"python_version": one, "python_full_version": f"{one}.0"} for one in PYTHONS)
    marker = specified.marker
    return marker is None or any(marker.evaluate(_LINUX | python) for python in pythons)
