"""act, which runs workflows without GitHub: `org/ml-containerize@v1` is this checkout, artifacts folders."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
SCRIPTS = Path(sys.executable).parent
WHO = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]

# What GitHub's artifact store does with these actions is played by copies on this machine.
_UPLOAD = """\
name: upload
inputs: {{name: {{default: artifact}}, path: {{required: true}}, retention-days: {{}}, overwrite: {{}}}}
runs:
  using: composite
  steps:
    - shell: bash
      env: {{NAME: "${{{{ inputs.name }}}}", FILES: "${{{{ inputs.path }}}}"}}
      run: |
        mkdir -p "{store}/$NAME"
        while read -r file; do
          if [ -n "$file" ] && [ -e "$file" ]; then cp -r "$file" "{store}/$NAME/"; fi
        done <<< "$FILES"
"""
_DOWNLOAD = """\
name: download
inputs: {{pattern: {{default: "*"}}, path: {{default: .}}}}
runs:
  using: composite
  steps:
    - shell: bash
      env: {{PATTERN: "${{{{ inputs.pattern }}}}", TARGET: "${{{{ inputs.path }}}}"}}
      run: |
        mkdir -p "$TARGET"
        find "{store}" -mindepth 1 -maxdepth 1 -name "$PATTERN" -exec cp -r {{}} "$TARGET" ";"
"""
_SARIF = """\
name: sarif
inputs: {{sarif_file: {{required: true}}, category: {{}}}}
runs:
  using: composite
  steps:
    - shell: bash
      env: {{FILE: "${{{{ inputs.sarif_file }}}}", CATEGORY: "${{{{ inputs.category }}}}"}}
      run: mkdir -p "{store}/sarif/$CATEGORY" && cp "$FILE" "{store}/sarif/$CATEGORY"
"""
_STAND_INS = {
    "actions/upload-artifact": ("action.yml", _UPLOAD),
    "actions/download-artifact": ("action.yml", _DOWNLOAD),
    "github/codeql-action": ("upload-sarif/action.yml", _SARIF),
}

_NOT_RUN = {"benchmarks", "docs", "examples", "monitoring", "tests"}


@dataclass(frozen=True, slots=True)
class Run:
    """How a workflow run ended, and what its jobs kept."""

    succeeded: bool
    log: str
    artifacts: Path

    def ended(self) -> set[str]:
        """The names of all jobs that ran, without the number that act gives those of a matrix."""
        return set(self._jobs())

    def failed(self) -> set[str]:
        return {name for name, result in self._jobs().items() if result == "failed"}

    def given(self) -> dict[str, str]:
        """What the called workflow gave back, which the caller shows as a line that begins with `given:`."""
        found: dict[str, str] = json.loads(re.findall(r"\| given: (.*)$", self.log, re.MULTILINE)[-1])
        return found

    def _jobs(self) -> dict[str, str]:
        lines = re.findall(r"^\[(.+?) *\].*🏁 +Job (succeeded|failed)", self.log, re.MULTILINE)
        return {re.sub(r"-[0-9]+$", "", name.rpartition("/")[2]): result for name, result in lines}

    def records(self) -> dict[str, dict[str, object]]:
        """The kept records by what stands after the call's key in the artifact's name."""
        found = self.artifacts.glob("models-*/result.json")
        return {path.parent.name.split("-", 2)[2]: json.loads(path.read_text()) for path in found}


@dataclass(frozen=True, slots=True)
class WorkflowRunner:
    """Runs the workflows of a repository; `home` keeps act's own files."""

    action: Path
    home: Path
    paths: tuple[Path, ...] = ()  # programs found before all others

    def __call__(
        self, project: Path, event: str, payload: Mapping[str, object], *, more: tuple[str, ...] = ()
    ) -> Run:
        store = self.home / f"artifacts-{len(list(self.home.glob('artifacts-*')))}"
        store.mkdir(parents=True)
        (store.with_suffix(".json")).write_text(json.dumps(payload))
        argv = [
            *(str(SCRIPTS / "act"), event, "--eventpath", str(store.with_suffix(".json"))),
            *("-P", "ubuntu-latest=-self-hosted", "-P", "gpu=-self-hosted"),
            *self._repositories(store),
            *more,
        ]
        done = subprocess.run(
            argv, cwd=project, env=self.environ(), capture_output=True, text=True, timeout=900, check=False
        )
        return Run(done.returncode == 0, done.stdout + done.stderr, store)

    def environ(self) -> dict[str, str]:
        first = os.pathsep.join(map(str, (*self.paths, SCRIPTS)))
        return {
            **os.environ,
            "HOME": str(self.home),
            "XDG_CACHE_HOME": str(self.home / "cache"),
            "PATH": f"{first}{os.pathsep}{os.environ['PATH']}",
        }

    def _repositories(self, store: Path) -> list[str]:
        argv = ["--local-repository", f"org/ml-containerize@v1={self.action}"]
        for used in sorted(remote_actions(self.action)):
            repository, _, commit = used.partition("@")
            name = "/".join(repository.split("/")[:2])
            if name in _STAND_INS:
                file, text = _STAND_INS[name]
                place = store / "actions" / name / file
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(text.format(store=store))
                argv += ["--local-repository", f"{name}@{commit}={store / 'actions' / name}"]
        return argv


def remote_actions(checkout: Path) -> set[str]:
    """What the reusable workflows of a checkout use, without the comments."""
    texts = [path.read_text() for path in (checkout / ".github" / "workflows").glob("*.yml")]
    return {used for text in texts for used in re.findall(r"uses: ([\w.-]+/\S+@[0-9a-f]{40})", text)}


def released(folder: Path) -> Path:
    """This checkout as a release would hold it, but what no workflow runs: act copies it for each step."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file() and name.partition("/")[0] not in _NOT_RUN:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *WHO, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def pull_request(project: Path, source: str, target: str, words: str) -> dict[str, object]:
    """What GitHub tells of a pull request from the commit that is checked out to main, between repositories.

    `words` are its title and the name of its branch.
    """
    head = {"sha": git(project, "rev-parse", "HEAD"), "ref": words, "repo": {"full_name": source}}
    base = {"sha": git(project, "rev-parse", "main"), "ref": "main", "repo": {"full_name": target}}
    return {"number": 7, "pull_request": {"number": 7, "title": words, "head": head, "base": base}}


def write_workflow(project: Path, name: str, workflow: Mapping[str, object]) -> None:
    """Write a caller's workflow; nothing is committed."""
    path = project / ".github" / "workflows" / f"{name}.yml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(dict(workflow), sort_keys=False))
