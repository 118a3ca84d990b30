"""Why two images of one commit and one model are not the same: the parts in which they differ, in words."""

from __future__ import annotations

from collections.abc import Iterator

from ml_containerize.oci.image import ImageFacts
from ml_containerize.plan.differences import differences
from ml_containerize.plan.labels import BASE_NAME
from ml_containerize.results import Change, Differences

_PARTS = {
    "base": "the base image's layers",
    "packages": "the packages (lock file)",
    "serving": "the serving code",
    "model": "the model's layers (the tool's version)",
}


def explain(published: ImageFacts, ours: ImageFacts) -> tuple[str, ...]:
    """Each part that differs, as words for a person; one that says so where none can be told."""
    found = tuple(_parts(differences(published, ours), ours.labels.get(BASE_NAME, "")))
    return found or ("the rest of the configuration (the tool's version)",)


def _parts(differ: Differences, base: str) -> Iterator[str]:
    """Where the base image differs, its layers need no second mention."""
    digests = [change for change in differ.base if change.name == "digest"]
    for change in digests:
        name = f" {base}" if base else ""
        yield f"the base image{name} ({_short(change.before)}, now {_short(change.after)})"
    for kind in differ.layers:
        if kind != "base" or not digests:
            yield _named(kind, differ.packages)
    if differ.labels:
        yield f"the labels {', '.join(change.name for change in differ.labels)}"


def _named(kind: str, packages: tuple[Change, ...]) -> str:
    if kind != "packages" or not packages:
        return _PARTS[kind]
    return f"the packages {', '.join(change.name for change in packages)} (lock file)"


def _short(digest: object) -> str:
    return str(digest or "")[:19] or "not recorded"
