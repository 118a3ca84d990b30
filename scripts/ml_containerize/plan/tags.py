"""Tags: one of commit and model that never moves, others that move by docker/metadata-action's rules.

https://github.com/docker/metadata-action#typeref, #typesemver and #latest-tag
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ml_containerize.names import ModelHash
from ml_containerize.plan.git.release_tag import LENGTH, parse_release
from ml_containerize.plan.git.source import Source
from ml_containerize.plan.settings.settings import Latest
from ml_containerize.plan.settings.values import RESERVED_TAG


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


def branch_tag(branch: str) -> str:
    """The tag of a branch's newest image; '' where no character of its name can stand in one."""
    return "".join(_sanitized(branch))


def releases_another(source: Source, name: str) -> bool:
    """True under a tag that is the version of one model, but not of this one."""
    release = parse_release(source.tag)
    return source.pull_request is None and release is not None and not release.is_of(name)


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
