from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from doubles.builds import Runs, said

from ml_containerize.build.base import BasePython
from ml_containerize.build.local import LocalEnvironments, NotInstallableHere, locked_python, this_machine
from ml_containerize.build.packages import Installer
from ml_containerize.command import Completed
from ml_containerize.console import Console
from ml_containerize.plan.chosen import Chosen
from ml_containerize.plan.environment.requirements import Requirement
from ml_containerize.plan.settings.settings import load_settings

FLASK = Requirement("flask", "3.1.3", "", (f"sha256:{'0' * 64}",))
NUMPY = Requirement("numpy", "2.4.6", "", (f"sha256:{'1' * 64}",))
MONTH = 30 * 86400.0


class Uv(Runs):
    """Stands for uv: `uv venv` leaves an interpreter behind."""

    def __call__(self, argv: list[str], **options: object) -> Completed:  # type: ignore[override]
        if argv[1] == "venv":
            python = Path(
                next(one for one in argv if one.startswith("/") and ".draft-" in one), "bin", "python"
            )
            python.parent.mkdir(parents=True)
            python.symlink_to(sys.executable)
        return super().__call__(argv, **options)  # type: ignore[arg-type]


@pytest.fixture
def uv() -> Uv:
    return Uv()


@pytest.fixture
def environments(
    tmp_path: Path, python: BasePython, uv: Uv, console: Console
) -> Callable[..., LocalEnvironments]:
    def make(now: float = 0.0) -> LocalEnvironments:
        installer = Installer(python, tmp_path, {}, uv, uv.start, sys.executable)
        return LocalEnvironments(tmp_path / "python", installer, console, lambda: now)

    return make


def test_packages_are_installed_once_for_each_lock(
    environments: Callable[..., LocalEnvironments], uv: Uv, console: Console
) -> None:
    first = environments().python([FLASK, NUMPY])
    assert first.samefile(sys.executable)
    assert len(uv.seen) == 2  # a virtual environment, and its packages
    assert environments().python([NUMPY, FLASK]) == first
    assert len(uv.seen) == 2
    assert environments().python([FLASK]) != first
    assert "installing 2 locked packages" in said(console)


def test_an_environment_whose_interpreter_is_gone_is_made_again(
    environments: Callable[..., LocalEnvironments], uv: Uv
) -> None:
    python = environments().python([FLASK])
    python.unlink()
    python.symlink_to("/no/such/python")
    assert environments().python([FLASK]).samefile(sys.executable)


def test_what_was_not_used_for_a_month_is_deleted(environments: Callable[..., LocalEnvironments]) -> None:
    old = environments(now=0.0).python([FLASK])
    os.utime(old.parents[1], (0.0, 0.0))
    used = environments(now=MONTH / 2).python([NUMPY])
    environments(now=MONTH + 1).python([FLASK, NUMPY])
    assert not old.exists()
    assert used.exists()


def test_packages_without_a_wheel_for_this_machine_are_exit_8_and_leave_nothing(
    environments: Callable[..., LocalEnvironments], uv: Uv, tmp_path: Path
) -> None:
    uv.answer(0)
    uv.answer(1, "Because flask==3.1.3 has no wheels with a matching platform tag")
    with pytest.raises(NotInstallableHere, match=r"flask==3\.1\.3 has no wheel") as caught:
        environments().python([FLASK])
    assert caught.value.exit_code == 8
    assert "--python" in caught.value.fix
    assert list((tmp_path / "python").iterdir()) == []


def test_a_python_that_is_named_needs_no_lock(tmp_path: Path, uv: Uv, console: Console) -> None:
    (tmp_path / "requirements.txt").write_text("flask\n")
    chosen = Chosen(tmp_path / "model.onnx", "onnx", "onnx")
    find = locked_python(load_settings(tmp_path, {}, {}), Path("venv/bin/python"), {}, uv, console)
    assert find(chosen) == Path("venv/bin/python")


def test_this_machine_is_a_target_of_packages() -> None:
    here = this_machine()
    assert here.version == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert here.glibc >= (2, 17)
