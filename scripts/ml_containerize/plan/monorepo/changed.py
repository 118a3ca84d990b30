"""What changed since when: the commit that an event is to be compared with, and the files that differ."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ml_containerize.names import GitSha
from ml_containerize.plan.git.git import Git
from ml_containerize.plan.git.github import PullRequest, Workflow
from ml_containerize.plan.git.paths import first_match, upwards
from ml_containerize.plan.monorepo.projects import Project


@dataclass(frozen=True, slots=True)
class Changes:
    """The projects that changed, or all of them where that cannot be told; and why."""

    projects: tuple[Project, ...]
    everything: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Base:
    """The commit to compare with; without one, why it is unknown."""

    commit: GitSha | None
    unknown: str = ""


def find_changed(
    git: Git, workflow: Workflow | None, since: str, projects: tuple[Project, ...], shared: Iterable[str]
) -> Changes:
    """The projects with a changed file in their folder or among the files that they are made of."""
    head = git.resolve("HEAD")
    base = _find_base(git, head, workflow, since) if head else Base(None, "there is no commit yet")
    if head is None or base.commit is None:
        return Changes(projects, True, f"all models: {base.unknown}")
    paths = git.differing(base.commit, head)
    common = first_match(paths, shared)
    if common:
        return Changes(projects, True, f"all models: {common!r} changed, which all share")
    changed = _touched(paths, projects)
    return Changes(changed, False, f"{len(changed)} of {_models(projects)} changed since {base.commit.short}")


def _models(projects: tuple[Project, ...]) -> str:
    return "1 model" if len(projects) == 1 else f"{len(projects)} models"


def _touched(paths: Iterable[str], projects: tuple[Project, ...]) -> tuple[Project, ...]:
    """A project whose config file cannot be read counts: its own check says what is wrong."""
    changed = {place for path in paths for place in upwards(path)}
    return tuple(one for one in projects if one.problem or changed.intersection((one.path, *one.outside)))


def _find_base(git: Git, head: GitSha, workflow: Workflow | None, since: str) -> Base:
    if since:
        return _known(git, since)
    if workflow is None:
        return Base(None, "no event tells what to compare with; name a commit with --since")
    if workflow.pull_request:
        return _before_pull_request(git, head, workflow, workflow.pull_request)
    if head != workflow.sha:
        return Base(None, "another commit than the event's is checked out")
    if workflow.forced:
        return Base(None, "the branch was force-pushed")
    return _known(git, workflow.before)


def _before_pull_request(git: Git, head: GitSha, workflow: Workflow, pull: PullRequest) -> Base:
    """GitHub's merge commit differs from its first parent by exactly the pull request."""
    if workflow.on_merge_ref and head == workflow.sha and head != pull.head:
        parent = git.resolve("HEAD^1")
        return Base(parent) if parent else _known(git, pull.base)
    if head != pull.head:
        return Base(None, "the pull request's commit is not what is checked out")
    base = _known(git, pull.base)
    parted = git.merge_base(base.commit, head) if base.commit else None
    return Base(parted) if parted else base


def _known(git: Git, name: str) -> Base:
    if not name:
        return Base(None, "the event names no earlier commit to compare with")
    if not name.strip("0"):
        return Base(None, "the branch or tag is new, or this is its first commit")
    commit = git.resolve(name)
    if commit:
        return Base(commit)
    shallow = " (it is shallow: check out with `fetch-depth: 0`)" if git.is_shallow() else ""
    return Base(None, f"this clone does not hold the base {name!r}{shallow}")
