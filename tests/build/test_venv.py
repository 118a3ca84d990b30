from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from doubles.builds import install_package

from ml_containerize.build.base import BasePython
from ml_containerize.build.record import record_hash
from ml_containerize.build.venv import (
    DamagedPackage,
    Distribution,
    Installation,
    MisplacedFile,
    disputed,
    name_and_version,
    relocated,
    skeleton,
    with_folders,
)
from ml_containerize.oci.layers import Entry

SITE = "opt/venv/lib/python3.12/site-packages"
UP = "../../.."


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "work-1" / "venv"


def read(folder: Path, python: BasePython) -> list[Distribution]:
    installation = Installation(folder, python)
    return installation.distributions(installation.records())


def entries_of(distribution: Distribution) -> dict[str, Entry]:
    return {entry.path: entry for entry in distribution.entries}


def record_of(distribution: Distribution) -> dict[str, tuple[str, str]]:
    content = next(entry.content for entry in distribution.entries if entry.path.endswith("RECORD"))
    assert content is not None
    return {row[0]: (row[1], row[2]) for row in csv.reader(io.StringIO(content.decode()))}


def test_files_keep_their_places_under_the_targets_python(folder: Path, python: BasePython) -> None:
    files = {
        "flask/__init__.py": b"import sys\n",
        f"{UP}/share/man/flask.1": b"manual",
        f"{UP}/include/site/python3.11/flask/f.h": b"// header",
    }
    install_package(folder, "Flask", "3.1.3", files)
    [flask] = read(folder, python)
    assert flask.title == "flask 3.1.3"
    assert set(entries_of(flask)) == {
        f"{SITE}/flask/__init__.py",
        f"{SITE}/Flask-3.1.3.dist-info/METADATA",
        f"{SITE}/Flask-3.1.3.dist-info/INSTALLER",
        f"{SITE}/Flask-3.1.3.dist-info/RECORD",
        "opt/venv/share/man/flask.1",
        "opt/venv/include/site/python3.12/flask/f.h",
    }
    assert f"{UP}/include/site/python3.12/flask/f.h" in record_of(flask)


def test_modules_are_told_so_that_they_can_be_compiled(folder: Path, python: BasePython) -> None:
    files = {"six.py": b"x = 1\n", "data/notes.txt": b"", f"{UP}/bin/tool.py": b"#!/bin/sh\n"}
    install_package(folder, "six", "1.17.0", files)
    [six] = read(folder, python)
    assert [module.path for module in six.modules] == [f"{SITE}/six.py"]


def test_scripts_start_the_images_own_python_and_the_record_says_so(folder: Path, python: BasePython) -> None:
    script = f"#!{folder}/bin/python\nprint(1)\n".encode()
    install_package(folder, "flask", "3.1.3", {f"{UP}/bin/flask": script})
    [flask] = read(folder, python)
    entry = entries_of(flask)["opt/venv/bin/flask"]
    assert (entry.content, entry.executable) == (b"#!/opt/venv/bin/python\nprint(1)\n", True)
    assert record_of(flask)[f"{UP}/bin/flask"] == (record_hash(entry.content or b""), "32")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"#!/home/x/work-1/venv/bin/python3.11\nrun()\n", b"#!/opt/venv/bin/python\nrun()\n"),
        (
            b"#!/bin/sh\n'''exec' '/a path/work-1/venv/bin/python' \"$0\" \"$@\"\n' '''\nrun()\n",
            b"#!/opt/venv/bin/python\nrun()\n",
        ),
        (b"#!/bin/sh\necho hi\n", b"#!/bin/sh\necho hi\n"),
        (b"#!/usr/bin/env python\nrun()\n", b"#!/usr/bin/env python\nrun()\n"),
        (b"run()\n#!/home/x/work-1/venv/bin/python\n", b"run()\n#!/home/x/work-1/venv/bin/python\n"),
        (b"\x7fELF", b"\x7fELF"),
    ],
    ids=["short", "long", "shell", "env", "not the first line", "binary"],
)
def test_only_what_started_this_machines_environment_is_rewritten(
    folder: Path, before: bytes, after: bytes
) -> None:
    assert relocated(before, folder) == after


def test_notes_of_the_installer_and_old_bytecode_stay_behind(folder: Path, python: BasePython) -> None:
    files = {
        "a-1.dist-info/uv_cache.json": b"{}",
        "a-1.dist-info/direct_url.json": b'{"url": "file:///home/x"}',
        "a/__pycache__/a.cpython-311.pyc": b"",
        "a/direct_url.json": b"data",
    }
    install_package(folder, "a", "1", files)
    [package] = read(folder, python)
    names = {path.removeprefix(f"{SITE}/") for path in entries_of(package)}
    assert names == {f"a-1.dist-info/{n}" for n in ("METADATA", "INSTALLER", "RECORD")} | {
        "a/direct_url.json"
    }
    assert set(record_of(package)) == names


def test_a_record_is_sorted_and_lists_itself_without_a_hash(folder: Path, python: BasePython) -> None:
    install_package(folder, "a", "1", {"z.py": b"", "b.py": b""})
    [package] = read(folder, python)
    record = record_of(package)
    assert list(record) == sorted(record)
    assert record["a-1.dist-info/RECORD"] == ("", "")


def test_packages_come_in_the_order_of_their_names(folder: Path, python: BasePython) -> None:
    for name in ("werkzeug", "flask", "tensorflow_cpu"):
        install_package(folder, name, "1", {})
    assert [one.name for one in read(folder, python)] == ["flask", "tensorflow-cpu", "werkzeug"]


@pytest.mark.parametrize("damage", [b"x = 2\n", b"longer than before\n"], ids=["same size", "other size"])
def test_a_module_that_somebody_edited_in_uvs_cache_is_noticed(
    folder: Path, python: BasePython, damage: bytes
) -> None:
    install_package(folder, "six", "1.17.0", {"six.py": b"x = 1\n"})
    (Installation(folder, python).site_packages / "six.py").write_bytes(damage)
    with pytest.raises(DamagedPackage, match=r"six 1\.17\.0: six\.py"):
        read(folder, python)


def test_a_file_that_is_gone_is_noticed(folder: Path, python: BasePython) -> None:
    install_package(folder, "six", "1.17.0", {"six.so": b"x"})
    (Installation(folder, python).site_packages / "six.so").unlink()
    with pytest.raises(DamagedPackage, match=r"six\.so"):
        read(folder, python)


def test_a_package_cannot_reach_outside_of_its_environment(folder: Path, python: BasePython) -> None:
    install_package(folder, "evil", "1", {f"{UP}/../../etc/passwd": b"root"})
    with pytest.raises(MisplacedFile, match="passwd"):
        read(folder, python)


def test_a_file_of_two_packages_belongs_to_the_last_by_name(folder: Path, python: BasePython) -> None:
    install_package(folder, "b", "1", {"shared.py": b"# b\n"})
    install_package(folder, "a", "1", {"shared.py": b"# a\n"})
    (Installation(folder, python).site_packages / "shared.py").write_bytes(b"# b\n")
    first, second = read(folder, python)
    assert f"{SITE}/shared.py" not in entries_of(first)
    assert f"{SITE}/shared.py" in entries_of(second)
    assert "shared.py" in record_of(first)


def test_files_that_are_claimed_elsewhere_stay_out(folder: Path, python: BasePython) -> None:
    install_package(folder, "a", "1", {"shared.py": b"# a\n", "own.py": b""})
    installation = Installation(folder, python)
    [package] = installation.distributions(installation.records(), {"shared.py"})
    assert [module.path for module in package.modules] == [f"{SITE}/own.py"]
    assert f"{SITE}/shared.py" not in entries_of(package)


def test_files_that_packages_disagree_about_are_put_right_by_their_owner(
    folder: Path, python: BasePython
) -> None:
    install_package(folder, "a", "1", {"shared.py": b"# a\n", "same.py": b""})
    install_package(folder, "b", "1", {"shared.py": b"# b\n", "same.py": b""})
    install_package(folder, "c", "1", {"same.py": b""})
    assert disputed(Installation(folder, python).records()) == ["b-1.dist-info"]


@pytest.mark.parametrize(
    ("folder_name", "expected"),
    [
        ("tensorflow_cpu-2.21.0.dist-info", ("tensorflow-cpu", "2.21.0")),
        ("ruamel.yaml-0.19.1.dist-info", ("ruamel-yaml", "0.19.1")),
        ("torch-2.9.0+cpu.dist-info", ("torch", "2.9.0+cpu")),
    ],
)
def test_a_packages_name_is_its_canonical_one(folder_name: str, expected: tuple[str, str]) -> None:
    assert name_and_version(folder_name) == expected


def test_the_skeleton_points_to_the_bases_python_and_names_nothing_of_this_machine(
    python: BasePython,
) -> None:
    entries = {entry.path: entry for entry in skeleton(python)}
    assert entries["opt/venv/bin/python"].target == "/usr/local/bin/python3.12"
    assert entries["opt/venv/bin/python3"].target == entries["opt/venv/bin/python3.12"].target == "python"
    assert entries["opt/venv/pyvenv.cfg"].content == (
        b"home = /usr/local/bin\ninclude-system-site-packages = false\nversion = 3.12\n"
    )


def test_every_folder_below_opt_is_an_entry_of_its_own() -> None:
    entries = with_folders([Entry.bytes("opt/venv/bin/flask", b""), Entry.directory("opt/venv")])
    assert sorted(entry.path for entry in entries) == ["opt/venv", "opt/venv/bin", "opt/venv/bin/flask"]
