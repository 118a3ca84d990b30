"""Git tags that are versions, of every model in a repository or of one: `v1.2.3`, `digits/v1.2.3`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

LENGTH = 128  # of an image's tag; OCI distribution specification, "Pulling manifests"

# https://semver.org/#is-there-a-suggested-regular-expression-regex-to-check-a-semver-string
_NUMBER = r"(0|[1-9][0-9]{0,15})"
_WORD = r"(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_SEMVER = re.compile(
    rf"v?{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-({_WORD}(?:\.{_WORD})*))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)


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

    @property
    def order(self) -> tuple[int, int, int, bool, str]:
        """Sorts versions; a full release comes after its pre-releases."""
        return int(self.major), int(self.minor), int(self.patch), not self.pre, self.pre

    def tags(self) -> tuple[str, ...]:
        """`1.2.3`, `1.2` and `1`; a pre-release is itself only, and 0.x promises nothing for 0."""
        full = f"{self.major}.{self.minor}.{self.patch}"
        if self.pre:
            return (f"{full}-{self.pre}"[:LENGTH],)
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


def best_tag(tags: Sequence[str], name: str) -> str:
    """Of several tags on one commit, the highest version of the model; '' where there is no tag."""
    releases = ((tag, parse_release(tag)) for tag in tags)
    own = [(release.order, tag) for tag, release in releases if release and release.is_of(name)]
    return max(own)[1] if own else (tags[-1] if tags else "")
