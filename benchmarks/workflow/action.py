"""What the action adds around its own stages, in a workflow that act runs: set-up, install, report."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.case import Case
from benchmarks.machine import ROOT, call, say
from benchmarks.workflow.monorepo import GIT

SCRIPTS = Path(sys.executable).parent
WARM, COLD, TIMES = 5.0, 15.0, 2  # seconds; the least of so many runs where caches are warm
NOT_RUN = {"benchmarks", "docs", "examples", "monitoring", "tests"}
WORKFLOW = """
name: bench
on: push
permissions:
  contents: read
jobs:
  bench:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1
      - run: date +%s.%N > "{report}/begin"
      - id: image
        uses: org/ml-containerize@v1
        with: {inputs}
      - run: date +%s.%N > "{report}/end"
      - env:
          OUTPUTS: ${{{{ toJSON(steps.image.outputs) }}}}
        run: printf '%s' "$OUTPUTS" > "{report}/outputs.json"
"""


@dataclass(frozen=True, slots=True)
class Step:
    """One run of the action: seconds of the step, and of the command's own stages in it."""

    seconds: float
    stages: float

    @property
    def around(self) -> float:
        return self.seconds - self.stages


@dataclass(frozen=True, slots=True)
class Bench:
    """A project, a copy of this checkout as it would be released, and a home without any cache."""

    folder: Path
    uv: bool  # if the machine has uv, as many runners do not

    @property
    def home(self) -> Path:
        return self.folder / ("home-uv" if self.uv else "home")

    def prepare(self) -> None:
        if not (self.folder / "action").exists():
            _copy_released(self.folder / "action")
            shutil.copytree(ROOT / "examples" / "wine-sklearn", self.folder / "project")
            database = self.folder / "cache" / "trivy" / "db"
            call(sys.executable, ROOT / "examples" / "trivy-db" / "make.py", database)
        (self.folder / "report").mkdir(exist_ok=True)
        (self.home / "bin").mkdir(parents=True)
        if self.uv:
            (self.home / "bin" / "uv").symlink_to(SCRIPTS / "uv")

    def run(self, **inputs: str) -> Step:
        project, report = self.folder / "project", self.folder / "report"
        text = WORKFLOW.format(inputs=json.dumps({**self._inputs(), **inputs}), report=report)
        workflow = project / ".github" / "workflows" / "bench.yml"
        workflow.parent.mkdir(parents=True, exist_ok=True)
        workflow.write_text(text)
        shutil.rmtree(project / ".git", ignore_errors=True)
        call(*GIT, "init", "-q", "-b", "main", cwd=project)
        call(*GIT, "add", "-A", cwd=project)
        call(*GIT, "commit", "-q", "-m", "Bench", cwd=project)
        call(
            *(SCRIPTS / "act", "push", "-P", "ubuntu-latest=-self-hosted"),
            *("--local-repository", f"org/ml-containerize@v1={self.folder / 'action'}"),
            cwd=project,
            env=self._environ(),
        )
        record = json.loads(json.loads((report / "outputs.json").read_text()).get("json") or '{"stages": []}')
        begin, end = (float((report / name).read_text()) for name in ("begin", "end"))
        return Step(end - begin, sum(stage["seconds"] for stage in record["stages"]))

    def _inputs(self) -> dict[str, str]:
        layout = call(sys.executable, ROOT / "scripts" / "base_image.py", "--layout").strip()
        return {
            "base-image": layout,
            "cache-dir": str(self.folder / "cache"),
            "engine": "embedded",
            "trivy-path": str(SCRIPTS / "trivy"),
            "skip-db-update": "true",
        }

    def _environ(self) -> dict[str, str]:
        """Python and programs of the machine, but for this checkout's own and any other uv."""
        places = os.environ["PATH"].split(os.pathsep)
        others = [place for place in places if Path(place) != SCRIPTS and not (Path(place) / "uv").exists()]
        return {
            **{
                name: value
                for name, value in os.environ.items()
                if not name.startswith(("UV_CACHE", "PIP_NO_CACHE"))
            },
            "HOME": str(self.home),
            "XDG_CACHE_HOME": str(self.home / "cache"),
            "PATH": os.pathsep.join([str(self.home / "bin"), *others]),
        }


def _copy_released(folder: Path) -> None:
    """Tracked and new files that a workflow runs: act copies them in its step, GitHub before the job."""
    listed = call("git", "ls-files", "-co", "--exclude-standard", "-z", cwd=ROOT)
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file() and name.partition("/")[0] not in NOT_RUN:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def around_the_stages(folder: Path) -> Iterator[Case]:
    """Each with pip, which every runner has, and with uv, which is taken where there is one."""
    for installer, uv in (("pip", False), ("uv", True)):
        bench = Bench(folder, uv)
        bench.prepare()
        cold = bench.run()
        say(f"  {installer}, cold: {cold.around:.1f} s around {cold.stages:.1f} s")
        warm = min((bench.run() for _ in range(TIMES)), key=lambda step: step.around)
        finding = min((bench.run(command="models") for _ in range(TIMES)), key=lambda step: step.seconds)
        what = f"the budget; the action's step in act without its stages, {installer} installs the command"
        yield Case(f"action-cold-{installer}", cold.around, COLD, "s", what, {"stages": cold.stages})
        yield Case(f"action-warm-{installer}", warm.around, WARM, "s", what, {"stages": warm.stages})
        yield Case(
            f"find-step-{installer}",
            finding.seconds,
            WARM,
            "s",
            f"the budget; the whole step with `command: models`, warm, {installer} installs the command",
        )
