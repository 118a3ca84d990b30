"""Asking git about a repository."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ml_containerize.command import Completed, Run
from ml_containerize.errors import EnvironmentMissing, PlanError
from ml_containerize.names import GitSha

TIME_LIMIT = 120.0  # seconds

# A repository's own configuration must not start programs, and a look at it must not write its index.
_OPTIONS = ("--no-optional-locks", "--literal-pathspecs", "-c", "core.fsmonitor=false")
_HOOK_VARIABLES = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"}
_LINK, _SUBMODULE = "120000", "160000"  # modes in the index, gitformat-index(5)
_SCP = re.compile(r"(?:[\w.-]+@)?([\w.-]+):(?!//)(.+)")


class GitMissing(EnvironmentMissing):
    """The project is in a git repository, but there is no git to ask."""

    def __init__(self, repository: Path) -> None:
        super().__init__(
            f"{repository} is a git repository, but the program git is not installed",
            "Install git: the image's tag is made from the commit.",
        )


class DubiousOwnership(PlanError):
    """Git refuses a repository that belongs to somebody else."""

    def __init__(self, repository: Path) -> None:
        super().__init__(
            f"Git does not trust {repository}, because another user owns it",
            f"If you do: git config --global --add safe.directory {repository}",
        )


class GitFailed(PlanError):
    """Git could not tell about the repository."""

    def __init__(self, done: Completed) -> None:
        why = done.stderr.strip() or f"exit status {done.status}"
        super().__init__(
            f"`{' '.join(done.argv)}` failed: {why}", "Repair the repository, or clone it again."
        )


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit with its time (seconds since 1970) and the branch and tags that it is checked out as."""

    sha: GitSha
    epoch: int
    branch: str = ""  # "" for a detached HEAD
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """A file that is not as in the commit."""

    path: Path
    untracked: bool


@dataclass(frozen=True, slots=True)
class Tracked:
    """A file that git keeps: its path below the repository's root, and if it is a symbolic link."""

    path: str
    link: bool = False


@dataclass(frozen=True, slots=True)
class Git:
    """One repository, looked at but never written to."""

    root: Path
    run: Run
    environ: Mapping[str, str]

    @classmethod
    def open(cls, folder: Path, run: Run, environ: Mapping[str, str]) -> Git | None:
        """The repository that holds the folder, if any. Raises GitMissing, DubiousOwnership or GitFailed."""
        root = next((place for place in (folder, *folder.parents) if (place / ".git").exists()), None)
        if root is None:
            return None
        git = cls(root, run, _environment(environ))
        top = git.ask("rev-parse", "--show-toplevel").rstrip("\n")
        return cls(Path(top), run, git.environ)

    def head(self) -> Commit | None:
        """The commit that is checked out; None where there is none yet."""
        return self.commit("HEAD")

    def commit(self, name: str) -> Commit | None:
        """A commit, or None where this clone does not have it."""
        style = ("--no-show-signature", "--decorate=full", "--format=%H%n%ct%n%D")
        done = self._run("log", "-1", *style, "--end-of-options", name, "--")
        if not done.ok:
            return None
        sha, epoch, refs = (*done.stdout.split("\n"), "")[:3]
        names = [ref.removeprefix("HEAD -> ") for ref in refs.split(", ")]
        attached = refs.startswith("HEAD -> refs/heads/")
        branch = names[0].removeprefix("refs/heads/") if attached else ""
        tags = (one.removeprefix("tag: refs/tags/") for one in names if one.startswith("tag: refs/tags/"))
        return Commit(GitSha(sha), int(epoch), branch, tuple(sorted(tags)))

    def changes(self, paths: Iterable[Path]) -> list[Change]:
        """What is changed or untracked at or below the paths; ignored files do not count."""
        inside = [str(path) for path in paths if path.resolve().is_relative_to(self.root.resolve())]
        options = ("--porcelain=v1", "-z", "--no-renames", "--untracked-files=all")
        entries = self.ask("status", *options, "--", *inside).split("\0")
        return [Change(self.root / entry[3:], entry.startswith("??")) for entry in entries if entry]

    def resolve(self, name: str) -> GitSha | None:
        """The commit that a name or an expression such as `HEAD^1` stands for, if this clone has it."""
        done = self._run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        return GitSha(done.stdout.strip()) if done.ok else None

    def merge_base(self, one: GitSha, other: GitSha) -> GitSha | None:
        """Where the histories of two commits parted; None where this clone does not reach back so far."""
        done = self._run("merge-base", str(one), str(other))
        return GitSha(done.stdout.split()[0]) if done.ok else None

    def is_shallow(self) -> bool:
        return self.ask("rev-parse", "--is-shallow-repository").strip() == "true"

    def files(self) -> list[Tracked]:
        """Every file of the index, sorted by path; submodules are left out."""
        entries = (entry.partition("\t") for entry in self.ask("ls-files", "--stage", "-z").split("\0"))
        modes = {path: stage[:6] for stage, _, path in entries if path}
        return [Tracked(path, mode == _LINK) for path, mode in sorted(modes.items()) if mode != _SUBMODULE]

    def differing(self, before: GitSha, after: GitSha) -> list[str]:
        """The paths whose files differ between two commits, those of both ends of a renaming included."""
        options = ("-r", "-z", "--name-only", "--no-renames")
        return [path for path in self.ask("diff-tree", *options, str(before), str(after)).split("\0") if path]

    def default_branch(self) -> str:
        """The branch that the remote calls its own, else the one that is checked out, '' if none is."""
        for name, prefix in (("refs/remotes/origin/HEAD", "refs/remotes/origin/"), ("HEAD", "refs/heads/")):
            done = self._run("symbolic-ref", "--quiet", name)
            if done.ok:
                return done.stdout.strip().removeprefix(prefix)
        return ""

    def url(self) -> str:
        """Where the repository was cloned from, if that is a public address."""
        return public_url(self._run("config", "--get", "remote.origin.url").stdout.strip())

    def ask(self, *argv: str) -> str:
        done = self._run(*argv)
        if done.ok:
            return done.stdout
        raise DubiousOwnership(self.root) if "dubious ownership" in done.stderr else GitFailed(done)

    def _run(self, *argv: str) -> Completed:
        command: Sequence[str] = ("git", *_OPTIONS, *argv)
        try:
            return self.run(command, cwd=self.root, env=self.environ, timeout=TIME_LIMIT)
        except FileNotFoundError as error:
            raise GitMissing(self.root) from error
        except TimeoutError as error:
            raise GitFailed(Completed(tuple(command), 124, "", str(error))) from error


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """English messages, and the repository that holds the project even when a git hook runs us."""
    inherited = {name: value for name, value in environ.items() if name not in _HOOK_VARIABLES}
    return inherited | {"LC_ALL": "C"}


def public_url(remote: str) -> str:
    """A remote as an https address without credentials; '' for a path on this machine.

    >>> public_url("git@github.com:org/digits.git")
    'https://github.com/org/digits'
    >>> public_url("https://user:token@example.org/digits.git")
    'https://example.org/digits'
    """
    scp = _SCP.fullmatch(remote)
    if scp:
        return f"https://{scp[1]}/{scp[2].lstrip('/').removesuffix('.git')}"
    try:
        parts = urlsplit(remote)
        host, port = parts.hostname, parts.port
    except ValueError:
        return ""
    if not host or parts.scheme not in {"http", "https", "ssh", "git"}:
        return ""
    web = parts.scheme in {"http", "https"}
    place = f"{host}:{port}" if web and port else host
    return f"{parts.scheme if web else 'https'}://{place}{parts.path.removesuffix('.git')}"
