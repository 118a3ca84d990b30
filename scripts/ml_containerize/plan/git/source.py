"""Where the project comes from: the commit, its branch, tag or pull request, and if the tree is clean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ml_containerize.command import Run
from ml_containerize.errors import UsageError
from ml_containerize.names import GitSha
from ml_containerize.plan.git.git import Commit, Git
from ml_containerize.plan.git.github import Workflow
from ml_containerize.plan.git.release_tag import best_tag

LATEST = 253402300799  # 9999-12-31, the last that RFC 3339 can write


class BadEpoch(UsageError):
    """SOURCE_DATE_EPOCH is no time."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f"SOURCE_DATE_EPOCH is {text!r}",
            "Set it to seconds since 1970 as reproducible-builds.org specifies, or unset it.",
        )


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
    base_branch: str = ""  # the branch that a pull request is to go into; "" where nothing tells


def read_source(
    project: Path, inputs: Iterable[Path], output: Path, name: str, *, run: Run, environ: Mapping[str, str]
) -> Source:
    """What git says of the project, and in a workflow GitHub of the event.

    Tracked files below the project make it dirty when changed; untracked ones only when they are among the
    `inputs` or below them. `output` never counts. Of several tags that one counts which releases the model
    `name`. Raises GitMissing, DubiousOwnership, GitFailed or BadEpoch.
    """
    workflow = Workflow.read(environ)
    git = Git.open(project, run, environ)
    head = git.head() if git else None
    if git is None or head is None:
        # actions/checkout leaves no repository behind where a job's container has no git
        ours = workflow is not None and project.is_relative_to(workflow.workspace)
        source = _from_event(workflow, workflow.sha) if workflow and ours else Source()
    else:
        dirty = _is_dirty(git, project, tuple(inputs), output)
        source = replace(_identify(head, git, workflow, name), dirty=dirty)
    return replace(source, epoch=_epoch(environ, source.epoch))


def _identify(head: Commit, git: Git, workflow: Workflow | None, name: str) -> Source:
    """What is checked out; GitHub names it where the event is about this very commit."""
    if workflow is None or not workflow.concerns(head.sha):
        tag = "" if head.branch else best_tag(head.tags, name)
        return Source(head.sha, head.branch, tag=tag, epoch=head.epoch, url=git.url())
    source = _from_event(workflow, head.sha)
    commit = head if source.sha in {None, head.sha} else git.commit(str(source.sha))
    return replace(source, epoch=(commit or head).epoch)


def _from_event(workflow: Workflow, head: GitSha) -> Source:
    """A pull request is identified by its head commit, whether that or GitHub's merge is checked out."""
    pull = workflow.pull_request
    if pull and (head == pull.head or workflow.on_merge_ref):
        return Source(pull.head, pull_request=pull.number, url=workflow.url, base_branch=pull.base_branch)
    return Source(workflow.sha, workflow.branch, tag=workflow.tag, url=workflow.url)


def _is_dirty(git: Git, project: Path, inputs: tuple[Path, ...], output: Path) -> bool:
    for change in git.changes([project, *inputs]):
        ours = not change.untracked or any(change.path.is_relative_to(place) for place in inputs)
        if ours and not change.path.is_relative_to(output):
            return True
    return False


def _epoch(environ: Mapping[str, str], commit: int) -> int:
    text = environ.get("SOURCE_DATE_EPOCH", "").strip()
    if not text:
        return commit
    if not text.isascii() or not text.isdigit() or int(text) > LATEST:
        raise BadEpoch(text)
    return int(text)
