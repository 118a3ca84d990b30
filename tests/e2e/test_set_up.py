"""`scripts/action`: what the action's step installs before the command, on runners of several kinds."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.workflow_runner import SCRIPTS, released

pytestmark = pytest.mark.e2e

Step = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def step(tmp_path: Path, digits: Path) -> Step:
    """The step with `command: models` on a runner without uv, in a job of its own; more variables by name."""
    action = released(tmp_path / "action")
    places = [place for place in os.environ["PATH"].split(os.pathsep) if not (Path(place) / "uv").exists()]
    home = {"HOME": str(tmp_path / "home"), "RUNNER_TEMP": str(tmp_path / "temp")}
    path = os.pathsep.join(place for place in places if Path(place) != SCRIPTS)

    def run(**more: str) -> subprocess.CompletedProcess[str]:
        environ = {**os.environ, **home, "PATH": path, "ML_CONTAINERIZE_COMMAND": "models", **more}
        environ.pop("XDG_CACHE_HOME", None)
        argv = [action / "scripts" / "action", str(digits)]
        return subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=300, check=False)

    return run


@pytest.fixture
def only_uv(tmp_path: Path) -> str:
    """A PATH with uv on it."""
    folder = tmp_path / "with-uv"
    folder.mkdir()
    (folder / "uv").symlink_to(SCRIPTS / "uv")
    return os.pathsep.join([str(folder), os.environ["PATH"]])


@pytest.fixture
def python_without_pip(tmp_path: Path) -> Path:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    return tmp_path / "bare" / "bin" / "python"


def assert_it_found(done: subprocess.CompletedProcess[str], model: Path) -> None:
    assert (done.returncode, done.stdout) == (0, f"{model}\n"), done.stderr


def test_a_runner_with_pip_alone_is_set_up_once_in_a_job(step: Step, digits: Path, tmp_path: Path) -> None:
    first, second = step(), step()
    for done in (first, second):
        assert_it_found(done, digits)
    assert "install ml-containerize" in first.stderr
    assert "install ml-containerize" not in second.stderr
    told = (tmp_path / "temp").glob("ml-containerize/*/lib/*/site-packages/requests-*.dist-info/INSTALLER")
    assert [path.read_text().strip() for path in told] == ["uv"]


def test_a_runner_with_uv_needs_no_pip(
    step: Step, digits: Path, only_uv: str, python_without_pip: Path
) -> None:
    assert_it_found(step(PATH=only_uv, ML_CONTAINERIZE_PYTHON_PATH=str(python_without_pip)), digits)


def test_a_python_without_pip_gets_one(step: Step, digits: Path, python_without_pip: Path) -> None:
    assert_it_found(step(ML_CONTAINERIZE_PYTHON_PATH=str(python_without_pip)), digits)


def test_what_is_installed_is_held_to_its_hash(step: Step, tmp_path: Path) -> None:
    lock = tmp_path / "action" / "requirements" / "command.lock"
    lock.write_text(re.sub("sha256:.{8}", "sha256:" + "0" * 8, lock.read_text()))
    done = step()
    assert done.returncode == 8
    assert "DO NOT MATCH THE HASHES" in done.stderr


def test_no_index_is_an_error_that_says_so(step: Step) -> None:
    nowhere = "http://127.0.0.1:9/simple"
    done = step(
        PIP_INDEX_URL=nowhere,
        UV_INDEX_URL=nowhere,
        UV_DEFAULT_INDEX=nowhere,
        PIP_RETRIES="0",
        UV_HTTP_RETRIES="0",
        PIP_EXTRA_INDEX_URL="",
    )
    assert done.returncode == 8
    assert "::error title=ml-containerize environment::" in done.stderr
    assert "Is a package index reachable?" in done.stderr


def test_no_python_is_an_error_that_says_what_to_do(step: Step, tmp_path: Path) -> None:
    for program in ("bash", "dirname"):
        found = shutil.which(program)
        assert found
        (tmp_path / program).symlink_to(found)
    done = step(PATH=str(tmp_path))
    assert done.returncode == 8
    assert "Set the input python-path" in done.stderr
