"""Tags: one of commit and model that never moves, others that move by docker/metadata-action's rules.

https://github.com/docker/metadata-action#typeref, #typesemver and #latest-tag
"""

from __future__ import annotations

import re
from collections.abc import Iterable

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


def moving_tags(source: Source, extra: Iterable[str], latest: Latest) -> tuple[str, ...]:
    """The tags to move to this image; a dirty tree moves only those that were asked for by name."""
    named = () if source.dirty else _of_source(source)
    move_latest = is_release(source) if latest == "auto" else latest
    return tuple(dict.fromkeys((*named, *extra, *(("latest",) if move_latest else ()))))


def _of_source(source: Source) -> tuple[str, ...]:
    if source.pull_request is not None:
        return (f"pr-{source.pull_request}",)
    if source.tag:
        return release_tags(source.tag) or _sanitized(source.tag)
    return _sanitized(source.branch)


def release_tags(tag: str) -> tuple[str, ...]:
    """`v1.2.3` moves 1.2.3, 1.2 and 1; a pre-release only itself; 0.x promises nothing for 0.

    >>> release_tags("v1.2.3"), release_tags("0.4.1"), release_tags("v2.0.0-rc.1"), release_tags("nightly")
    (('1.2.3', '1.2', '1'), ('0.4.1', '0.4'), ('2.0.0-rc.1',), ())
    """
    version = _SEMVER.fullmatch(tag)
    if not version:
        return ()
    major, minor, patch, pre = version.groups()
    full = f"{major}.{minor}.{patch}"
    if pre:
        return _sanitized(f"{full}-{pre}")
    return (full, f"{major}.{minor}", *(() if major == "0" else (major,)))


def is_release(source: Source) -> bool:
    """A clean tree under a version's tag that is no pre-release."""
    return not source.dirty and len(release_tags(source.tag)) > 1


def _sanitized(name: str) -> tuple[str, ...]:
    """The name as a tag: other characters become one `-`; nothing where none is left."""
    tag = re.sub(r"[^A-Za-z0-9._-]+", "-", name).lstrip(".-")
    if RESERVED_TAG.match(tag):
        tag = f"branch-{tag}"
    return (tag[:LENGTH],) if tag else ()
