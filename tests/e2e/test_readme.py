"""Every command and workflow in the README does what the README says."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from support.command import BIN, ROOT, Command
from support.programs import program

README = (ROOT / "README.md").read_text()
CONSOLE = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
COMMANDS = [line[2:] for block in CONSOLE for line in block.splitlines() if line.startswith("$ ")]
SLOW = {"make demo", "make test"}  # tests/e2e/test_demo.py is the first, this run is the second
OTHER = {"docker build --build-arg MODEL=examples/digits -t digits ."}  # tests/e2e/test_dockerfile.py


def test_the_workflow_is_twelve_lines_and_valid() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert len(text.splitlines()) <= 12
    steps = yaml.safe_load(text)["jobs"]["ship"]["steps"]
    declared = yaml.safe_load((ROOT / "action.yml").read_text())["inputs"]
    assert steps[1]["uses"] == "org/ml-containerize@v1"
    assert set(steps[1]["with"]) <= set(declared)


def test_every_make_command_of_the_readme_is_a_target() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {command.split()[1] for command in SLOW} <= targets


@pytest.mark.e2e
def test_every_command_of_the_readme_works_in_its_order(
    command: Command, registry: str, tmp_path: Path, free_port: int
) -> None:
    clone = tmp_path / "clone"
    copy_of_the_project(clone)
    script = ["set -eu", f'export PATH="{BIN}:$PATH:{Path(program("curl")).parent}"']
    for line in COMMANDS:
        if line in SLOW | OTHER:
            continue
        line = line.replace("localhost:5000", registry).replace("8080", str(free_port))
        script += [f"echo '$ {line}' >&2"]
        if line.startswith("ml-containerize serve"):
            script += [
                f"{line} & server=$!",
                "trap 'kill $server; wait $server || true' EXIT",
                wait(free_port),
            ]
        elif line.startswith("curl"):
            script += [f"{line} | grep -q predictions"]
        else:
            script += [line]
    environ = command.environ(clone / ".ml-containerize", {"ML_CONTAINERIZE_ALLOW_DIRTY": "true"})
    ran = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=clone,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert ran.returncode == 0, ran.stderr


def wait(port: int) -> str:
    return f"for _ in $(seq 300); do curl -sf localhost:{port}/readyz >/dev/null && break; sleep 0.2; done"


def copy_of_the_project(folder: Path) -> None:
    """A clone that also holds what is not committed yet."""
    subprocess.run(["git", "clone", "-q", "--no-hardlinks", ROOT, folder], check=True)
    listed = subprocess.run(
        ["git", "ls-files", "-mo", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
