"""What GitHub Actions tells a job of the event that started it.

https://docs.github.com/en/actions/reference/workflows-and-actions/variables
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ml_containerize.errors import PlanError
from ml_containerize.names import GitSha
from ml_containerize.results import Json


class BadEvent(PlanError):
    """The event's description cannot be read."""

    def __init__(self, path: str, error: Exception) -> None:
        super().__init__(
            f"GITHUB_EVENT_PATH is {path}, which cannot be read: {error}",
            "Leave GITHUB_EVENT_PATH as the runner sets it, or unset it outside of GitHub Actions.",
        )


@dataclass(frozen=True, slots=True)
class PullRequest:
    """A pull request's number, the last commit that its author pushed, and the branch it is to go into."""

    number: int
    head: GitSha
    base: str = ""  # the tip of that branch when the event happened; "" where nothing tells
    base_branch: str = ""


@dataclass(frozen=True, slots=True)
class Workflow:
    """The event's commit, ref and pull request, and where the repository is checked out."""

    sha: GitSha
    ref: str
    url: str
    workspace: Path
    pull_request: PullRequest | None
    before: str = ""  # the commit that a push or a merge group stands on; "" where nothing tells
    forced: bool = False  # a push that threw commits away

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Workflow | None:
        """None outside of GitHub Actions. Raises BadEvent."""
        sha, ref = environ.get("GITHUB_SHA", ""), environ.get("GITHUB_REF", "")
        if not sha:
            return None
        event = _event(environ.get("GITHUB_EVENT_PATH", ""))
        server, repository = environ.get("GITHUB_SERVER_URL", ""), environ.get("GITHUB_REPOSITORY", "")
        return cls(
            sha=GitSha(sha),
            ref=ref,
            url=f"{server}/{repository}" if server and repository else "",
            workspace=Path(environ.get("GITHUB_WORKSPACE", "/")),
            pull_request=_pull_request(event, ref, sha),
            before=_before(event),
            forced=event.get("forced") is True,
        )

    def concerns(self, commit: GitSha) -> bool:
        """True where the event is about this commit, or this is the pull request's head."""
        return commit == self.sha or (self.pull_request is not None and commit == self.pull_request.head)

    @property
    def on_merge_ref(self) -> bool:
        """`refs/pull/7/merge`, a merge that GitHub made for the event."""
        return self.ref.startswith("refs/pull/")

    @property
    def branch(self) -> str:
        return self.ref.removeprefix("refs/heads/") if self.ref.startswith("refs/heads/") else ""

    @property
    def tag(self) -> str:
        return self.ref.removeprefix("refs/tags/") if self.ref.startswith("refs/tags/") else ""


def _event(path: str) -> Json:
    try:
        event = json.loads(Path(path).read_text("utf-8")) if path else {}
    except (OSError, ValueError) as error:
        raise BadEvent(path, error) from error
    return event if isinstance(event, dict) else {}


def _before(event: Json) -> str:
    """https://docs.github.com/en/webhooks/webhook-events-and-payloads#push and #merge_group"""
    match event:
        case {"before": str(before)} | {"merge_group": {"base_sha": str(before)}}:
            return before
    return ""


def _pull_request(event: Json, ref: str, sha: str) -> PullRequest | None:
    """From the event; without one, the ref still tells the number."""
    match event.get("pull_request"):
        case {"number": int(number), "head": {"sha": str(head)}, **rest}:
            base = rest.get("base")
            known = base if isinstance(base, dict) else {}
            return PullRequest(number, GitSha(head), str(known.get("sha", "")), str(known.get("ref", "")))
    numbered = re.match(r"refs/pull/([0-9]+)/", ref)
    return PullRequest(int(numbered[1]), GitSha(sha)) if numbered else None
