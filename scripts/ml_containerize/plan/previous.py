"""Which published image is in use, so that a run can say what it would change."""

from __future__ import annotations

from dataclasses import dataclass

from ml_containerize.plan.git.source import Source
from ml_containerize.plan.settings.settings import Settings
from ml_containerize.plan.tags import branch_tag


@dataclass(frozen=True, slots=True)
class Previous:
    """The image to compare with; where it must not be missing, somebody named it."""

    where: str  # a registry reference or a layout folder; "" where none can be named
    required: bool = False
    unknown: str = ""  # why none can be named


def choose_previous(settings: Settings, source: Source) -> Previous | None:
    """What `compare-with` says; `auto` is the image of the branch that a pull request is to go into."""
    asked = settings.compare_with
    if asked not in {"auto", "none"}:
        return Previous(asked, required=True)
    if asked == "none" or source.pull_request is None:
        return None
    if not settings.images:
        return Previous("", unknown="`images` names no repository to find the branch's image in")
    tag = branch_tag(source.base_branch)
    if not tag:
        return Previous("", unknown="the event does not name the branch that the pull request is to go into")
    return Previous(str(settings.images[0].tag(tag)))
