"""Where the project comes from: the commit, its branch, tag or pull request, and if the tree is clean."""

from __future__ import annotations

from dataclasses import dataclass

from ml_containerize.names import GitSha


@dataclass(frozen=True, slots=True)
class Source:
    """The git facts; all empty outside a repository."""

    sha: GitSha | None = None
    branch: str = ""
    pull_request: int | None = None
    tag: str = ""
    dirty: bool = False
    epoch: int = 0  # seconds since 1970: SOURCE_DATE_EPOCH or the commit's time
    url: str = ""  # of the repository, without credentials
