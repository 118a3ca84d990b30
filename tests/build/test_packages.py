from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from doubles.builds import Runs

from ml_containerize.build.base import BasePython, UnsupportedSystem
from ml_containerize.build.packages import (
    IndexUnreachable,
    Installer,
    InstallFailed,
    NoWheel,
    PackageMissing,
    WrongHash,
    platform_tag,
    uv_environment,
)
from ml_containerize.errors import BuildError, EnvironmentMissing
from ml_containerize.oci.blobs import DiskFull
from ml_containerize.plan.environment.requirements import Requirement

FLASK = Requirement("flask", "3.1.3", "", (f"sha256:{'0' * 64}",))
GUNICORN = Requirement("gunicorn", "27.0.1", "sys_platform == 'linux'", (f"sha256:{'1' * 64}",))

# What uv 0.13 prints.
SAID: dict[str, tuple[type[Exception], str]] = {
    "error: No solution found when resolving dependencies\n"
    "  cause: Because docopt==0.6.2 has no usable wheels and you require docopt==0.6.2, we can conclude that "
    "your requirements are unsatisfiable.\n\nhint: Wheels are required for `docopt`": (
        NoWheel,
        "docopt==0.6.2",
    ),
    "  cause: Because tensorflow-cpu==2.21.0 has no wheels with a matching platform tag (e.g., "
    "`manylinux_2_36_aarch64`) and you require tensorflow-cpu==2.21.0": (NoWheel, "tensorflow-cpu==2.21.0"),
    "error: Failed to download `flask==3.1.3`\n  cause: Hash mismatch for `flask==3.1.3`\n\n"
    "         Expected:\n           sha256:49b3\n": (WrongHash, "flask==3.1.3"),
    "  cause: Because there is no version of flask==99.1.3 and you require flask==99.1.3": (
        PackageMissing,
        "flask==99.1.3",
    ),
    "  cause: Because flask-2 was not found in the package registry and you require flask-2==1": (
        PackageMissing,
        "flask-2",
    ),
    "error: Failed to fetch: https://example.org/simple/flask/\n  cause: error sending request for url": (
        IndexUnreachable,
        "example.org",
    ),
    "hint: Packages were unavailable because the network was disabled.": (IndexUnreachable, "disabled"),
    "error: failed to write: No space left on device (os error 28)": (DiskFull, "No space left"),
    "error: something new": (InstallFailed, "something new"),
}


@pytest.fixture
def installer(tmp_path: Path, python: BasePython, runs: Runs) -> Installer:
    environ = {"UV_INDEX": "https://example.org/simple"}
    return Installer(python, tmp_path, environ, runs, runs.start, "/usr/bin/python3")


def test_only_wheels_that_fit_the_target_and_their_hashes_are_installed(
    tmp_path: Path, installer: Installer, runs: Runs
) -> None:
    installer.install([FLASK, GUNICORN], tmp_path / "venv")
    (made, _, _), (argv, env, _) = runs.seen
    assert made[1:3] == ["venv", "--no-project"]
    assert argv[1:3] == ["pip", "install"]
    asked = " ".join(argv)
    assert "--python-version 3.12 --python-platform x86_64-manylinux_2_36" in asked
    assert "--only-binary :all: --require-hashes --no-deps" in asked
    assert env == {"UV_INDEX": "https://example.org/simple"}


def test_uv_reads_the_locks_own_lines_and_nothing_else(tmp_path: Path, installer: Installer) -> None:
    installer.install([FLASK, GUNICORN], tmp_path / "venv")
    assert (tmp_path / "venv.txt").read_text() == (
        f"flask==3.1.3 --hash=sha256:{'0' * 64}\n"
        f"gunicorn==27.0.1 ; sys_platform == 'linux' --hash=sha256:{'1' * 64}\n"
    )


def test_nothing_is_started_for_no_packages(tmp_path: Path, installer: Installer, runs: Runs) -> None:
    installer.install([], tmp_path / "venv")
    assert not runs.seen


def test_packages_can_be_installed_beside_other_work(
    tmp_path: Path, installer: Installer, runs: Runs
) -> None:
    runs.answer(0)
    runs.answer(1, stderr="error: something new")
    with installer.installing([FLASK], tmp_path / "venv") as finish:
        assert len(runs.seen) == 1
        with pytest.raises(InstallFailed):
            finish()


def test_a_package_can_be_put_over_another(tmp_path: Path, installer: Installer, runs: Runs) -> None:
    installer.reinstall(FLASK, tmp_path / "venv")
    assert "--reinstall" in runs.seen[0][0]
    assert (tmp_path / "venv.txt").read_text().startswith("flask==3.1.3 ")


@pytest.mark.parametrize("words", SAID)
def test_what_uv_says_becomes_a_cause_that_names_the_package(
    tmp_path: Path, installer: Installer, runs: Runs, words: str
) -> None:
    cause, named = SAID[words]
    runs.answer(0)
    runs.answer(1, stderr=words)
    with pytest.raises(cause) as caught:
        installer.install([FLASK], tmp_path / "venv")
    assert isinstance(caught.value, BuildError | EnvironmentMissing)
    assert named in caught.value.what
    assert caught.value.fix


def test_a_package_without_a_wheel_is_answered_with_the_dockerfile(
    tmp_path: Path, installer: Installer, runs: Runs
) -> None:
    runs.answer(0)
    runs.answer(1, stderr="Because docopt==0.6.2 has no usable wheels and")
    with pytest.raises(NoWheel) as caught:
        installer.install([FLASK], tmp_path / "venv")
    assert "docker build --build-arg MODEL=" in caught.value.fix
    assert "Python 3.12 on x86_64 with glibc 2.36" in caught.value.what


def test_a_build_for_cpus_that_no_index_has_is_answered_with_pytorchs_own_index(
    tmp_path: Path, installer: Installer, runs: Runs
) -> None:
    runs.answer(0)
    runs.answer(
        1, stderr="Because there is no version of torch==2.13.0+cpu and you require torch==2.13.0+cpu"
    )
    with pytest.raises(PackageMissing, match=r"torch==2\.13\.0\+cpu") as caught:
        installer.install([FLASK], tmp_path / "venv")
    assert "PyTorch's CPU index" in caught.value.fix
    assert "UV_EXTRA_INDEX_URL" in caught.value.fix
    assert "://" not in caught.value.fix


def test_an_index_that_does_not_answer_is_a_missing_environment() -> None:
    assert issubclass(IndexUnreachable, EnvironmentMissing)


@pytest.mark.parametrize(
    ("glibc", "tag"),
    [
        ((2, 36), "x86_64-manylinux_2_36"),
        ((2, 30), "x86_64-manylinux_2_28"),
        ((2, 17), "x86_64-manylinux_2_17"),
        ((2, 99), "x86_64-manylinux_2_40"),
    ],
)
def test_the_bases_c_library_decides_which_wheels_run(
    python: BasePython, glibc: tuple[int, int], tag: str
) -> None:
    assert platform_tag(replace(python, glibc=glibc)) == tag


def test_a_c_library_older_than_all_wheels_is_refused(python: BasePython) -> None:
    with pytest.raises(UnsupportedSystem, match=r"2\.12"):
        platform_tag(replace(python, glibc=(2, 12)))


def test_the_users_index_cache_and_network_settings_are_kept_and_nothing_else_of_uv() -> None:
    kept = {
        "PATH": "/bin",
        "HTTPS_PROXY": "http://proxy",
        "UV_DEFAULT_INDEX": "https://example.org",
        "UV_INDEX_CORP_PASSWORD": "secret",
        "UV_EXTRA_INDEX_URL": "https://example.org/cpu",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_FIND_LINKS": "/wheels",
        "UV_CACHE_DIR": "/cache",
        "UV_HTTP_TIMEOUT": "60",
    }
    others = {
        "UV_PYTHON": "3.9",
        "UV_OVERRIDE": "o.txt",
        "UV_COMPILE_BYTECODE": "1",
        "UV_TORCH_BACKEND": "cpu",
    }
    assert uv_environment({**kept, **others}) == kept
