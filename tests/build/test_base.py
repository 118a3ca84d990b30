from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from doubles.builds import GLIBC, make_files

from ml_containerize.build.base import DEFAULT_PATH, BasePython, NoPython, UnsupportedSystem, find_python
from ml_containerize.build.tree import Tree
from ml_containerize.names import Platform

DEBIAN = {"lib": "usr/lib", "bin": "usr/bin", "usr/lib/x86_64-linux-gnu/libc.so.6": GLIBC}


def look(folder: Path, files: Mapping[str, bytes | str], platform: str = "linux/amd64") -> BasePython:
    tree = Tree((make_files(folder, files),))
    return find_python(tree, DEFAULT_PATH, Platform.parse(platform), "base:1")


def test_debians_python_is_found_behind_its_links(tmp_path: Path) -> None:
    files = {**DEBIAN, "usr/bin/python3": "python3.11", "usr/bin/python3.11": b""}
    assert look(tmp_path, files) == BasePython("3.11", "/usr/bin/python3.11", "x86_64", (2, 36))


def test_the_first_on_the_path_wins_as_in_a_shell(tmp_path: Path) -> None:
    files = {
        **DEBIAN,
        "usr/bin/python3": "python3.13",
        "usr/bin/python3.13": b"",
        "usr/local/bin/python3": "python3.12",
        "usr/local/bin/python3.12": b"",
    }
    found = look(tmp_path, files)
    assert (found.version, found.executable) == ("3.12", "/usr/local/bin/python3.12")


def test_of_several_versions_without_a_short_name_the_newest_is_taken(tmp_path: Path) -> None:
    files = {**DEBIAN, "usr/bin/python3.9": b"", "usr/bin/python3.10": b"", "usr/bin/python3.10-config": b""}
    assert look(tmp_path, files).version == "3.10"


def test_a_python_without_a_version_in_its_name_is_known_by_its_library(tmp_path: Path) -> None:
    files = {**DEBIAN, "opt/x": b"", "usr/bin/python3": b"", "usr/lib/python3.12/os.py": b""}
    assert look(tmp_path, files).version == "3.12"


def test_bytecode_is_named_after_the_version(tmp_path: Path) -> None:
    assert look(tmp_path, {**DEBIAN, "usr/bin/python3.12": b""}).cache_tag == "cpython-312"


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"usr/bin/python3": "python3.11"},
        {"usr/bin/python2.7": b"", "usr/bin/python": "python2.7"},
        {"usr/bin/pypy3": b""},
        {"usr/bin/python3": b""},
    ],
    ids=["nothing", "link to nothing", "Python 2", "PyPy", "no standard library"],
)
def test_a_base_without_a_usable_python_is_refused_by_name(
    tmp_path: Path, files: dict[str, bytes | str]
) -> None:
    with pytest.raises(NoPython, match="base:1") as caught:
        look(tmp_path, {**DEBIAN, **files})
    assert "python:3.12-slim" in caught.value.fix


def test_alpine_is_refused_for_its_c_library(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedSystem, match="musl"):
        look(tmp_path, {"usr/bin/python3.12": b"", "lib/ld-musl-x86_64.so.1": b""})


def test_a_base_without_a_c_library_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedSystem, match="no GNU C library for x86_64"):
        look(tmp_path, {"usr/bin/python3.12": b"", "lib64/libc.so.6": b"something else"})


def test_a_processor_without_wheels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedSystem, match="linux/riscv64"):
        look(tmp_path, {**DEBIAN, "usr/bin/python3.12": b""}, "linux/riscv64")


def test_arm_has_its_own_machine_name(tmp_path: Path) -> None:
    files = {"usr/bin/python3.12": b"", "lib/aarch64-linux-gnu/libc.so.6": GLIBC}
    assert look(tmp_path, files, "linux/arm64").machine == "aarch64"
