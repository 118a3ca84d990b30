"""Every command of the README and of docs/ is run, page by page, as a reader would type it."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command import BIN, ROOT, Command
from support.pages import Block, blocks
from support.programs import program

SLOW = {"make demo", "make test"}  # tests/e2e/test_demo.py is the first, this run is the second
OTHER = {"docker build --build-arg MODEL=examples/digits -t digits ."}  # tests/e2e/test_dockerfile.py
RUN = [block for block in blocks("console") if not block.why]
AUTHOR = {
    f"GIT_{who}_{what}": "ada@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
}
CLOSED = {"ML_CONTAINERIZE_ALLOW_DIRTY": "true", "ML_CONTAINERIZE_ENGINE": "embedded"}
PAGES = sorted({block.page for block in RUN})


def test_every_make_command_is_a_target() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {command.split()[1] for command in SLOW} <= targets


@pytest.mark.e2e
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_commands_of_a_page_work_in_their_order(
    page: Path, command: Command, registry: str, tmp_path: Path, free_port: int
) -> None:
    clone = tmp_path / "ml-containerize"
    copy_of_the_project(clone)
    lines = [line for block in RUN if block.page == page for line in typed(block)]
    said = [line.replace("localhost:5000", registry).replace("8080", str(free_port)) for line in lines]
    script = ["set -eu", f'export PATH="{BIN}:$PATH:{Path(program("curl")).parent}"', *shell(said, free_port)]
    environ = command.environ(tmp_path, {**AUTHOR, **CLOSED, "HOME": str(tmp_path)})
    del environ["ML_CONTAINERIZE_OUTPUT"]  # the pages name the default folder
    ran = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=tmp_path if page.parent.name == "tutorial" else clone,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=550,
    )
    assert ran.returncode == 0, ran.stderr


def typed(block: Block) -> list[str]:
    return [line for line in block.commands() if line not in SLOW | OTHER]


def shell(lines: list[str], port: int) -> Iterator[str]:
    """The lines as a script; a server runs beside what asks it."""
    for line in lines:
        yield f"echo {shlex.quote(line)} >&2"
        if line.startswith("ml-containerize serve"):
            yield f"{line} & server=$!"
            yield "trap 'kill $server 2>/dev/null || true' EXIT"
            yield f"until curl -sf localhost:{port}/readyz >/dev/null; do kill -0 $server; sleep 0.2; done"
        elif line.startswith("curl"):
            yield f"{line} | grep -q predictions"
            yield "kill $server; wait $server || true"
        else:
            yield line


def copy_of_the_project(folder: Path) -> None:
    """A clone that also holds what is not committed yet."""
    subprocess.run(["git", "clone", "-q", "--no-hardlinks", ROOT, folder], check=True)
    listed = subprocess.run(
        ["git", "ls-files", "-mo", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
