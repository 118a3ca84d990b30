"""The command as users start it, with caches of the tests' own and the bundled vulnerability database."""

from __future__ import annotations

import fcntl
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import of_all_workers
from support.command import Command
from support.workflow_runner import released

ROOT = Path(__file__).parents[2]


def make_sample_database(folder: Path) -> None:
    subprocess.run([sys.executable, ROOT / "examples" / "trivy-db" / "make.py", folder], check=True)


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds trivy's small database; what is built once serves every test of all processes."""
    cache = of_all_workers(tmp_path_factory) / "cache"
    cache.mkdir(exist_ok=True)
    with (cache / "made").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (cache / "trivy" / "db").exists():
            make_sample_database(cache / "trivy" / "db")
    return cache


@pytest.fixture
def command(tmp_path: Path, shared_cache: Path, base_layout: Path) -> Command:
    return Command(tmp_path / "out", shared_cache, str(base_layout))


@pytest.fixture
def new_machine(tmp_path: Path, base_layout: Path) -> Command:
    """The command where nothing was ever cached, but for the vulnerability database."""
    cache = tmp_path / "new-machine"
    make_sample_database(cache / "trivy" / "db")
    return Command(tmp_path / "new-out", cache, str(base_layout))


@pytest.fixture(scope="session")
def vulnerable_lock() -> Callable[[Path], None]:
    """Make a project's lock hold a package with an advisory that the bundled database knows."""

    def change(project: Path) -> None:
        lock = project / "requirements.lock"
        lock.write_text(lock.read_text() + VULNERABLE_GUNICORN)

    return change


# gunicorn 21.2.0 is known for CVE-2024-1135 (fixed in 22.0.0); this server does without it
VULNERABLE_GUNICORN = """\
gunicorn==21.2.0 \\
    --hash=sha256:3213aa5e8c24949e792bcacfc176fef362e7aac80b76c56f6b5122bf350722f0 \\
    --hash=sha256:88ec8bff1d634f98e61b9f65bc4bf3cd918a90806c6f5c48bc5603849ec81033
"""


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def action(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This checkout as a release would hold it."""
    return released(tmp_path_factory.mktemp("action"))
