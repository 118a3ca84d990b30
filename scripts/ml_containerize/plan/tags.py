"""Tags: one of commit and model that never moves, others that move by docker/metadata-action's rules.

https://github.com/docker/metadata-action#typeref, #typesemver and #latest-tag
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ml_containerize.names import ModelHash
from ml_containerize.plan.settings import Latest
from ml_containerize.plan.source import Source
from ml_containerize.plan.values import RESERVED_TAG

LENGTH = 128  # OCI distribution specification, "Pulling manifests"

# https://semver.org/#is-there-a-suggested-regular-expression-regex-to-check-a-semver-string
_NUMBER = r"(0|[1-9][0-9]{0,15})"
_SEMVER = re.compile(rf"v?{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?")


def identity_tag(source: Source, model: ModelHash) -> str:
    """`sha-<git 12>-model-<hash 12>`, without the first part outside git, `-dirty` for a changed tree."""
    commit = f"sha-{source.sha.short}-" if source.sha else ""
    return f"{commit}model-{model.short}{'-dirty' if source.dirty else ''}"


def moving_tags(source: Source, extra: Iterable[str], latest: Latest, name: str) -> tuple[str, ...]:
    """The tags to move to the image `name`; a dirty tree moves only those that were asked for by name."""
    named = () if source.dirty else _of_source(source, name)
    move_latest = is_release(source, name) if latest == "auto" else latest
    return tuple(dict.fromkeys((*named, *extra, *(("latest",) if move_latest else ()))))


def _of_source(source: Source, name: str) -> tuple[str, ...]:
    if source.pull_request is not None:
        return (f"pr-{source.pull_request}",)
    if not source.tag:
        return _sanitized(source.branch)
    release = parse_release(source.tag)
    if release is None:
        return _sanitized(source.tag)
    return release.tags() if release.is_of(name) else ()


@dataclass(frozen=True, slots=True)
class TaggedRelease:
    """What a git tag such as `v1.2.3` or, for one model of several, `digits/v1.2.3` releases."""

    name: str  # "" for every model of the repository
    major: str
    minor: str
    patch: str
    pre: str  # "" for a full release

    def is_of(self, name: str) -> bool:
        return self.name in {"", name}

    def tags(self) -> tuple[str, ...]:
        """`1.2.3`, `1.2` and `1`; a pre-release is itself only, and 0.x promises nothing for 0."""
        full = f"{self.major}.{self.minor}.{self.patch}"
        if self.pre:
            return _sanitized(f"{full}-{self.pre}")
        return (full, f"{self.major}.{self.minor}", *(() if self.major == "0" else (self.major,)))


def parse_release(tag: str) -> TaggedRelease | None:
    """None for a tag that is no version.

    >>> parse_release("digits/v1.2.3").tags(), parse_release("0.4.1").tags()
    (('1.2.3', '1.2', '1'), ('0.4.1', '0.4'))
    >>> parse_release("v2.0.0-rc.1").tags(), parse_release("nightly")
    (('2.0.0-rc.1',), None)
    """
    name, _, text = tag.rpartition("/")
    version = _SEMVER.fullmatch(text)
    if not version:
        return None
    major, minor, patch, pre = version.groups(default="")
    return TaggedRelease(name, major, minor, patch, pre)


def is_release(source: Source, name: str) -> bool:
    """A clean tree under a tag that releases the model in full."""
    release = parse_release(source.tag)
    return not source.dirty and release is not None and release.is_of(name) and not release.pre


def _sanitized(name: str) -> tuple[str, ...]:
    """The name as a tag: other characters become one `-`; nothing where none is left."""
    tag = re.sub(r"[^A-Za-z0-9._-]+", "-", name).lstrip(".-")
    if RESERVED_TAG.match(tag):
        tag = f"branch-{tag}"
    return (tag[:LENGTH],) if tag else ()
