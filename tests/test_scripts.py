"""The scripts that bring an engine and programs: what they leave alone, and what they say where they fail."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[1]
SHELL_TOOLS = (
    "awk", "bash", "cat", "chmod", "cut", "dirname", "env", "flock", "head", "id", "mkdir", "mv", "rm",
    "sed", "sleep", "tail", "true", "uname",
)  # fmt: skip

Script = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Run one of the scripts where nothing but a shell's tools and the given stand-ins exist."""
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts", ignore=shutil.ignore_patterns("ml_containerize"))
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    for name in SHELL_TOOLS:
        (bin_folder / name).symlink_to(str(shutil.which(name)))

    def run(*argv: str, programs: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        for name, text in programs.items():
            (bin_folder / name).unlink(missing_ok=True)
            (bin_folder / name).write_text(f"#!/bin/sh\n{text}\n")
            (bin_folder / name).chmod(0o755)
        name, *arguments = argv
        return subprocess.run(
            [tmp_path / "scripts" / name, *arguments],
            env={"PATH": str(bin_folder), "CI": "true", "HOME": os.devnull},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def answering(version: str) -> dict[str, str]:
    return {"docker": f"echo {version}", "apt-get": "echo apt was called; exit 1"}


SILENT = {"docker": "exit 1", "apt-get": "echo apt was called; exit 1"}


def test_an_engine_that_answers_is_left_alone(script: Script) -> None:
    done = script("engine", "start", programs=answering("28.2.2"))
    assert done.returncode == 0
    assert "28.2.2" in done.stderr
    assert "apt was called" not in done.stdout + done.stderr
    assert script("engine", "stop", programs={}).returncode == 0


def test_an_engine_that_is_too_old_is_left_alone_and_said_to_be(script: Script) -> None:
    done = script("engine", "start", programs=answering("20.10.24"))
    assert done.returncode == 8
    assert "20.10.24" in done.stderr
    assert "23 or newer" in done.stderr


@pytest.mark.parametrize(
    ("programs", "reason"),
    [({"id": "echo 1000"}, "You are not root here"), ({"uname": "echo Darwin 24"}, "This is another system")],
    ids=["without root", "on another system"],
)
def test_where_no_engine_can_be_installed_it_says_what_to_do(
    script: Script, programs: dict[str, str], reason: str
) -> None:
    done = script("engine", "start", programs=SILENT | programs)
    assert done.returncode == 8
    assert reason in done.stderr
    assert "docs.docker.com/engine/install" in done.stderr
    assert "apt was called" not in done.stdout + done.stderr


@pytest.mark.parametrize("status", [0, 3])
def test_a_program_runs_with_an_engine_and_keeps_its_status(script: Script, status: int) -> None:
    done = script("engine", "with", "bash", "-c", f"echo ran; exit {status}", programs=answering("28.2.2"))
    assert done.stdout == "ran\n"
    assert done.returncode == status


def test_a_program_on_path_is_taken_as_it_is(script: Script, tmp_path: Path) -> None:
    done = script("tools", "docker-registry", programs={"docker-registry": ""})
    assert done.stdout == f"{tmp_path}/bin/docker-registry\n"
    assert not (tmp_path / ".cache").exists()


def test_without_apt_the_registrys_own_image_serves_where_docker_answers(
    script: Script, tmp_path: Path
) -> None:
    wrapper = Path(script("tools", "docker-registry", programs={"docker": 'echo "$@"'}).stdout.rstrip("\n"))
    config = tmp_path / "config.yml"
    config.write_text("http:\n  addr: 127.0.0.1:5123\nstorage:\n  filesystem:\n    rootdirectory: /storage\n")
    started = subprocess.run(
        [wrapper, "serve", config],
        env={"PATH": str(tmp_path / "bin")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--publish 127.0.0.1:5123:5123" in started.stdout
    assert "--volume /storage:/storage" in started.stdout
    assert "registry:2.8.3@sha256:" in started.stdout


def test_without_apt_and_docker_it_says_what_is_missing(script: Script) -> None:
    done = script("tools", "skopeo", programs={})
    assert done.returncode == 8
    assert "skopeo is not on PATH" in done.stderr


def test_setup_without_a_python_says_where_to_get_one(script: Script) -> None:
    done = script("setup", programs={"python3": "exit 1"})
    assert done.returncode == 8
    assert "no Python 3.11 or newer with venv was found" in done.stderr
    assert not done.stdout
