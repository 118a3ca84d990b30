from __future__ import annotations

from pathlib import Path

import pytest
from doubles.builds import make_files

from ml_containerize.build.base import BasePython
from ml_containerize.build.openmp import NoOpenMP, openmp_link
from ml_containerize.build.tree import Tree
from ml_containerize.oci.layers import Entry

COPY = "scikit_learn.libs/libgomp-e985bcbb.so.1.0.0"
LIBC = "usr/lib/x86_64-linux-gnu/libc.so.6"
TARGET = f"/opt/venv/lib/python3.12/site-packages/{COPY}"


def links(folder: Path, python: BasePython, packages: set[str], *installed: str) -> list[Entry]:
    return openmp_link(Tree((folder,)), python, "base:1", packages, installed)


def test_lightgbm_gets_a_copy_that_another_package_brought(tmp_path: Path, python: BasePython) -> None:
    make_files(tmp_path, {LIBC: b"", "lib": "usr/lib"})
    found = links(tmp_path, python, {"lightgbm", "flask"}, "flask/app.py", "xgboost_cpu.libs/other.so", COPY)
    assert found == [Entry.link("usr/lib/x86_64-linux-gnu/libgomp.so.1", TARGET)]


def test_the_systems_own_library_is_left_alone(tmp_path: Path, python: BasePython) -> None:
    make_files(tmp_path, {LIBC: b"", "usr/lib/x86_64-linux-gnu/libgomp.so.1": b""})
    assert links(tmp_path, python, {"lightgbm"}, COPY) == []


def test_other_packages_need_no_link(tmp_path: Path, python: BasePython) -> None:
    make_files(tmp_path, {LIBC: b""})
    assert links(tmp_path, python, {"scikit-learn"}, COPY) == []


def test_without_library_and_copy_the_two_ways_out_are_told(tmp_path: Path, python: BasePython) -> None:
    make_files(tmp_path, {LIBC: b""})
    with pytest.raises(
        NoOpenMP, match=r"lightgbm needs libgomp\.so\.1, which the base image base:1"
    ) as caught:
        links(tmp_path, python, {"lightgbm"}, "flask/app.py")
    assert "libgomp1" in caught.value.fix
    assert "scikit-learn" in caught.value.fix
    assert caught.value.exit_code == 4
