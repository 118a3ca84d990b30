from __future__ import annotations

from pathlib import Path

import pytest

from ml_containerize.plan.locked import (
    NotLocked,
    RequirementsNotFound,
    ServerNotLocked,
    StaleLock,
    locked_packages,
    requirement_files,
    server_needs,
)
from ml_containerize.plan.requirements import read_lock
from ml_containerize.plan.serving import runtime_lock, serving_folder

HASH = "--hash=sha256:" + "0" * 64
SERVING = serving_folder()
SERVER = ("flask", "gunicorn", "numpy", "tensorflow-cpu")


def write_lock(project: Path, *names: str) -> Path:
    lock = project / "requirements.lock"
    lock.write_text("".join(f"{name}==9.0 {HASH}\n" for name in names))
    return lock


def test_a_project_without_requirements_is_served_with_the_products_own_lock(project: Path) -> None:
    lock, packages = locked_packages(project, None, SERVING)
    assert lock == runtime_lock(SERVING)
    assert packages == read_lock(lock)
    assert set(SERVER) <= {one.name for one in packages}


def test_a_projects_lock_is_found_beside_its_requirements(project: Path) -> None:
    write_lock(project, *SERVER, "pandas")
    (project / "requirements.txt").write_text("pandas>=2\n")
    lock, packages = locked_packages(project, None, SERVING)
    assert lock == project / "requirements.lock"
    assert "pandas" in {one.name for one in packages}


def test_requirements_without_a_lock_are_told_with_the_command_that_locks_them(project: Path) -> None:
    (project / "requirements.txt").write_text("pandas\n")
    with pytest.raises(NotLocked) as caught:
        locked_packages(project, None, SERVING)
    assert f"`ml-containerize lock {project}`" in caught.value.fix


def test_a_lock_that_lacks_a_new_requirement_is_out_of_date(project: Path) -> None:
    write_lock(project, *SERVER)
    (project / "requirements.txt").write_text("pandas>=2\nnumpy<9\nflask\n")
    with pytest.raises(StaleLock, match="pandas>=2, numpy<9"):
        locked_packages(project, None, SERVING)


@pytest.mark.parametrize("missing", SERVER)
def test_a_lock_must_contain_what_the_server_needs(project: Path, missing: str) -> None:
    write_lock(project, *(name for name in SERVER if name != missing))
    with pytest.raises(ServerNotLocked, match=missing):
        locked_packages(project, None, SERVING)


def test_the_full_tensorflow_serves_as_well_as_the_cpus(project: Path) -> None:
    write_lock(project, "flask", "gunicorn", "numpy", "tensorflow")
    locked_packages(project, None, SERVING)
    lines = dict(server_needs(SERVING, {"tensorflow"}))
    assert lines["tensorflow"].startswith("tensorflow>=")
    assert "tensorflow-cpu" not in lines


def test_requirements_may_have_another_name_and_be_named_by_their_lock(project: Path) -> None:
    txt, lock = project / "gpu.txt", project / "gpu.lock"
    assert requirement_files(project, txt) == (txt, lock)
    assert requirement_files(project, lock) == (txt, lock)
    with pytest.raises(RequirementsNotFound, match=r"gpu\.txt does not exist"):
        locked_packages(project, txt, SERVING)
