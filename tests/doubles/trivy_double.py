"""A stand-in for trivy: it notes how it was started and answers as it is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ml_containerize.command import Completed

VERSION = "0.74.0"


@dataclass(frozen=True, slots=True)
class Start:
    """One start of the program."""

    argv: tuple[str, ...]
    cwd: Path | None
    env: Mapping[str, str] | None
    timeout: float | None
    files: tuple[str, ...]  # what lay in the current folder

    @property
    def is_update(self) -> bool:
        return "--download-db-only" in self.argv

    def option(self, name: str) -> str:
        return self.argv[self.argv.index(name) + 1]


@dataclass(slots=True)
class FakeTrivy:
    """A `run` that plays trivy; each scan takes the next status and log, and writes the report if it is 0."""

    report: dict[str, Any] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)  # logs of the scans that fail before one works
    update: Callable[[], str] = lambda: ""  # fetches the database; a log means that it failed
    starts: list[Start] = field(default_factory=list)

    def __call__(
        self,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_: object,
    ) -> Completed:
        files = tuple(sorted(path.name for path in cwd.iterdir())) if cwd else ()
        start = Start(tuple(argv), cwd, env, timeout, files)
        self.starts.append(start)
        log = self._answer(start)
        status = 1 if log else 0
        return Completed(start.argv, status, json.dumps({"Version": VERSION}), log)

    def _answer(self, start: Start) -> str:
        if start.argv[1] == "version":
            return ""
        if start.is_update:
            return self.update()
        if self.failures:
            return self.failures.pop(0)
        Path(start.option("--output")).write_text(json.dumps(self.report))
        return ""

    @property
    def scans(self) -> list[Start]:
        return [start for start in self.starts if start.argv[1] == "image" and not start.is_update]
