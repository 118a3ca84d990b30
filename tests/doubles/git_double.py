"""Git as far as the plan asks it: a function that answers for a program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ml_containerize.command import Completed

SHA = "a" * 40
COMMANDS = {"rev-parse", "log", "status", "config", "ls-files", "diff-tree", "merge-base", "symbolic-ref"}
TIME = 1_767_225_600  # 2026-01-01T00:00:00Z


@dataclass
class GitDouble:
    """A repository at `root` with one commit checked out; `status` is what `git status -z` prints."""

    root: Path
    sha: str = SHA
    refs: str = "HEAD -> refs/heads/main"
    status: str = ""
    remote: str = "https://github.com/org/models.git"
    others: Mapping[str, int] = field(default_factory=dict)  # further commits and their times
    files: Sequence[str] = ()  # of the index
    links: Sequence[str] = ()  # of those, symbolic links
    names: Mapping[str, str] = field(default_factory=dict)  # expressions such as HEAD^1, and their commits
    differing: Sequence[str] = ()  # paths that differ between any two commits
    parted: str = ""  # where any two histories parted
    shallow: bool = False
    symbolic: Mapping[str, str] = field(default_factory=dict)  # names of names, such as HEAD
    asked: list[tuple[str, ...]] = field(default_factory=list)

    def __call__(self, argv: Sequence[str], **options: Any) -> Completed:
        assert argv[0] == "git"
        assert options["env"]["LC_ALL"] == "C"
        self.asked.append(tuple(argv))
        status, output = self.answer(argv)
        return Completed(tuple(argv), status, output, "" if status == 0 else output)

    def answer(self, argv: Sequence[str]) -> tuple[int, str]:
        match next(word for word in argv if word in COMMANDS):
            case "rev-parse":
                return self.parsed(argv[-1])
            case "ls-files":
                modes = ((path, "120000" if path in self.links else "100644") for path in self.files)
                return 0, "".join(f"{mode} {SHA} 0\t{path}\0" for path, mode in modes)
            case "diff-tree":
                return 0, "".join(f"{path}\0" for path in self.differing)
            case "merge-base":
                return (0, f"{self.parted}\n") if self.parted else (1, "")
            case "symbolic-ref":
                found = self.symbolic.get(argv[-1], "")
                return (0, f"{found}\n") if found else (1, "")
            case "status":
                return 0, self.status
            case "config":
                return (0, f"{self.remote}\n") if self.remote else (1, "")
        return self.log(argv[-2])

    def parsed(self, name: str) -> tuple[int, str]:
        if name == "--show-toplevel":
            return 0, f"{self.root}\n"
        if name == "--is-shallow-repository":
            return 0, f"{str(self.shallow).lower()}\n"
        known = {"HEAD": self.sha, self.sha: self.sha, **{sha: sha for sha in self.others}, **self.names}
        sha = known.get(name.removesuffix("^{commit}"), "")
        return (0, f"{sha}\n") if sha else (1, "")

    def log(self, name: str) -> tuple[int, str]:
        if self.sha and name in {"HEAD", self.sha}:
            return 0, f"{self.sha}\n{TIME}\n{self.refs}\n"
        if name in self.others:
            return 0, f"{name}\n{self.others[name]}\n\n"
        return 128, f"fatal: bad revision '{name}'"
