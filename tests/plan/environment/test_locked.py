from __future__ import annotations

from pathlib import Path

import pytest

from ml_containerize.plan.environment.locked import (
    NotLocked,
    RequirementsNotFound,
    ServerNotLocked,
    StaleLock,
    locked_packages,
    requirement_files,
    server_needs,
)
from ml_containerize.plan.environment.requirements import read_lock
from ml_containerize.plan.model.runtimes import runtime_lock

HASH = "--hash=sha256:" + "0" * 64
NAMES = ("flask", "numpy", "tensorflow-cpu")


@pytest.fixture
def serving(tmp_path: Path) -> Path:
    """The requirements of a server that knows some runtimes."""
    folder = tmp_path / "serving" / "requirements"
    folder.mkdir(parents=True)
    wanted = {
        "server": "flask>=3\nnumpy>=2",
        "tensorflow": "-r server.in\ntensorflow-cpu>=2.20 ; platform_machine != 'aarch64'",
        "onnx": "-r server.in\nonnxruntime>=1.20",
        "xgboost": "-r server.in\nxgboost-cpu>=3",
        "torch": "-r server.in\ntorch==2.13.0+cpu",
        "python": "-r server.in",
    }
    for name, text in wanted.items():
        (folder / f"{name}.in").write_text(f"# for {name}\n{text}\n")
    for name in ("tensorflow", "python"):
        (folder / f"{name}.lock").write_text(f"flask==3.1 {HASH}\nnumpy==2.0 {HASH}\n")
    with (folder / "tensorflow.lock").open("a") as lock:
        lock.write(f"tensorflow-cpu==2.21 {HASH}\n")
    return folder.parent


def write_lock(project: Path, *names: str) -> Path:
    lock = project / "requirements.lock"
    lock.write_text("".join(f"{name}==9.0 {HASH}\n" for name in names))
    return lock


def test_a_project_without_requirements_is_served_with_the_products_own_lock(
    project: Path, serving: Path
) -> None:
    lock, packages = locked_packages(project, None, serving, "tensorflow")
    assert lock == runtime_lock(serving, "tensorflow")
    assert packages == read_lock(lock)
    assert set(NAMES) <= {one.name for one in packages}


def test_a_projects_lock_is_found_beside_its_requirements(project: Path, serving: Path) -> None:
    write_lock(project, *NAMES, "pandas")
    (project / "requirements.txt").write_text("pandas>=2\n")
    lock, packages = locked_packages(project, None, serving, "tensorflow")
    assert lock == project / "requirements.lock"
    assert "pandas" in {one.name for one in packages}


def test_requirements_without_a_lock_are_told_with_the_command_that_locks_them(
    project: Path, serving: Path
) -> None:
    (project / "requirements.txt").write_text("pandas\n")
    with pytest.raises(NotLocked) as caught:
        locked_packages(project, None, serving, "tensorflow")
    assert f"`ml-containerize lock {project}`" in caught.value.fix


def test_a_lock_that_lacks_a_new_requirement_is_out_of_date(project: Path, serving: Path) -> None:
    write_lock(project, *NAMES)
    (project / "requirements.txt").write_text("pandas>=2\nnumpy<9\nflask\n")
    with pytest.raises(StaleLock, match="pandas>=2, numpy<9"):
        locked_packages(project, None, serving, "tensorflow")


@pytest.mark.parametrize("missing", NAMES)
def test_a_lock_must_contain_what_the_server_needs(project: Path, serving: Path, missing: str) -> None:
    write_lock(project, *(name for name in NAMES if name != missing))
    with pytest.raises(ServerNotLocked, match=missing):
        locked_packages(project, None, serving, "tensorflow")


def test_the_full_tensorflow_serves_as_well_as_the_cpus(project: Path, serving: Path) -> None:
    write_lock(project, "flask", "numpy", "tensorflow")
    locked_packages(project, None, serving, "tensorflow")
    lines = dict(server_needs(serving, "tensorflow", {"tensorflow"}))
    assert lines["tensorflow"].startswith("tensorflow>=")
    assert "tensorflow-cpu" not in lines


def test_requirements_may_have_another_name_and_be_named_by_their_lock(project: Path, serving: Path) -> None:
    txt, lock = project / "gpu.txt", project / "gpu.lock"
    assert requirement_files(project, txt) == (txt, lock)
    assert requirement_files(project, lock) == (txt, lock)
    with pytest.raises(RequirementsNotFound, match=r"gpu\.txt does not exist"):
        locked_packages(project, txt, serving, "tensorflow")


@pytest.mark.parametrize(
    ("runtime", "smaller", "fuller"),
    [
        ("tensorflow", "tensorflow-cpu", "tensorflow"),
        ("onnx", "onnxruntime", "onnxruntime-gpu"),
        ("xgboost", "xgboost-cpu", "xgboost"),
    ],
)
def test_the_package_that_does_more_takes_the_place_of_the_smaller_one(
    project: Path, serving: Path, runtime: str, smaller: str, fuller: str
) -> None:
    for name in (smaller, fuller):
        write_lock(project, "flask", "numpy", name)
        locked_packages(project, None, serving, runtime)
    assert smaller in dict(server_needs(serving, runtime, ()))
    assert fuller in dict(server_needs(serving, runtime, {fuller}))


def test_a_project_that_asks_for_torch_itself_chooses_its_build(serving: Path) -> None:
    assert dict(server_needs(serving, "torch", ()))["torch"] == "torch==2.13.0+cpu"
    assert dict(server_needs(serving, "torch", {"torch"}))["torch"] == "torch==2.13.0"


def test_a_predictor_needs_the_server_and_what_its_project_asks_for(project: Path, serving: Path) -> None:
    lock, packages = locked_packages(project, None, serving, "python")
    assert lock.name == "python.lock"
    assert [one.name for one in packages] == ["flask", "numpy"]
    write_lock(project, "flask", "numpy", "statsmodels")
    (project / "requirements.txt").write_text("statsmodels\n")
    assert locked_packages(project, None, serving, "python")[0] == project / "requirements.lock"
