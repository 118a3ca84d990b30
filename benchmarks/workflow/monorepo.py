"""A repository of fifty models and five thousand other files, whose newest commit changes one model."""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.case import Case
from benchmarks.machine import call

MODELS, OTHERS, CHANGED = 50, 5000, "model-31"
BUDGET, TIMES = 2.0, 9  # seconds; the median of so many runs
GIT = ("git", "-c", "user.name=b", "-c", "user.email=b@example.org")


@dataclass(frozen=True, slots=True)
class Monorepo:
    """Where it is, and its two commits."""

    folder: Path
    before: str
    after: str

    @classmethod
    def make(cls, folder: Path) -> Monorepo:
        for number in range(MODELS):
            _write_model(folder / "models" / f"model-{number}")
        for number in range(OTHERS):
            _write(folder / "data" / f"{number % 50}" / f"{number}.json", "{}")
        call(*GIT, "init", "-q", "-b", "main", cwd=folder)
        before = _commit(folder, "Add fifty models")
        _write(folder / "models" / CHANGED / "model.onnx", "another")
        return cls(folder, before, _commit(folder, "Change one"))

    def event(self, folder: Path) -> dict[str, str]:
        """The variables of a job for the push of the second commit."""
        path = folder / "event.json"
        path.write_text(json.dumps({"before": self.before}))
        return {
            "GITHUB_SHA": self.after,
            "GITHUB_REF": "refs/heads/main",
            "GITHUB_EVENT_PATH": str(path),
        }


def _write_model(folder: Path) -> None:
    _write(folder / "ml-containerize.yaml", f"name: {folder.name}\nrequirements: ../../requirements.txt\n")
    _write(folder / "model.onnx", folder.name)
    for case in ("one", "ten", "blank", "refused"):
        _write(folder / "smoke" / f"{case}.json", "{}")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _commit(folder: Path, message: str) -> str:
    call(*GIT, "add", "-A", cwd=folder)
    call(*GIT, "commit", "-q", "-m", message, cwd=folder)
    return call("git", "rev-parse", "HEAD", cwd=folder).strip()


def find_changed(folder: Path) -> Iterator[Case]:
    """The command's time without that of the git processes that it starts, as git itself traces it."""
    repository = Monorepo.make(folder / "monorepo")
    runs = [_find(repository, folder) for _ in range(TIMES)]
    totals, gits = [total for total, _, _ in runs], [git for _, git, _ in runs]
    found = {tuple(names) for _, _, names in runs}
    yield Case(
        "find-changed",
        statistics.median(total - git for total, git, _ in runs),
        BUDGET,
        "s",
        "the budget; `models --changed` beyond git's own time: 50 models, 5000 other files, one changed",
        {"total": statistics.median(totals), "git": statistics.median(gits)},
        failing=int(found != {(CHANGED,)}),
    )


def _find(repository: Monorepo, folder: Path) -> tuple[float, float, list[str]]:
    """Seconds in all, seconds of git, and the models that were found."""
    trace = folder / "trace"
    trace.unlink(missing_ok=True)
    env = {**os.environ, **repository.event(folder), "GIT_TRACE2_EVENT": str(trace)}
    argv = (sys.executable, "-I", "-m", "ml_containerize", "models", "--changed", "--json", "--quiet")
    start = time.monotonic()
    told = call(*argv, cwd=repository.folder, env=env)
    total = time.monotonic() - start
    events = [json.loads(line) for line in trace.read_text().splitlines()]
    git = sum(event["t_abs"] for event in events if event["event"] == "atexit")
    return total, git, [job["name"] for job in json.loads(told)["include"]]
