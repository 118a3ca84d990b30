from __future__ import annotations

from pathlib import Path

import pytest
from doubles.builds import GLIBC, Runs, make_files

from ml_containerize.build.base import BasePython
from ml_containerize.build.bytecode import Compiler, CompilingFailed, Source, bytecode_path, find_bwrap
from ml_containerize.build.tree import Tree
from ml_containerize.names import Platform
from ml_containerize.oci.blobs import DiskFull
from ml_containerize.plan.environment.host import runs_here

MODULES = [Source("venv/b.py", "opt/venv/b.py"), Source("venv/a.py", "opt/venv/a.py")]


@pytest.fixture
def compiler(tmp_path: Path, python: BasePython, runs: Runs) -> Compiler:
    lower = {
        "lib64/ld-linux-x86-64.so.2": "/lib/x86_64-linux-gnu/ld.so",
        "lib/x86_64-linux-gnu/ld.so": b"",
        "lib/x86_64-linux-gnu/libc.so.6": GLIBC,
    }
    upper: dict[str, bytes | str] = {"usr/local/bin/python3.12": b"", "usr/local/lib/libpython3.12.so": b""}
    folders = (make_files(tmp_path / "0", lower), make_files(tmp_path / "1", upper))
    return Compiler(Tree(folders), python, runs, Path("/tools/bwrap"), 2)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return make_files(tmp_path / "work", {"venv/a.py": b"", "venv/b.py": b""})


def test_the_bases_python_runs_in_a_sandbox_without_network_and_environment(
    compiler: Compiler, work: Path, runs: Runs
) -> None:
    runs.answer(0, stdout="compiled\n")
    compiler.compile(MODULES, work)
    [(argv, env, _)] = runs.seen
    assert argv[0] == "/tools/bwrap"
    assert {"--unshare-all", "--clearenv", "--die-with-parent"} <= set(argv)
    assert "--share-net" not in argv
    assert env == {}
    assert argv[argv.index("/usr/local/bin/python3.12") :][-2:] == ["compile_driver.py", "2"]
    assert (work / "compile_driver.py").exists()


def test_modules_are_compiled_in_the_order_of_their_places_in_the_image(
    compiler: Compiler, work: Path, runs: Runs
) -> None:
    runs.answer(0, stdout="compiled\n")
    compiler.compile(MODULES, work)
    assert runs.seen[0][2].split("\0") == [
        *("venv/a.py", "bytecode/opt/venv/__pycache__/a.cpython-312.pyc", "/opt/venv/a.py"),
        *("venv/b.py", "bytecode/opt/venv/__pycache__/b.cpython-312.pyc", "/opt/venv/b.py"),
        "",
    ]


def test_only_what_was_compiled_is_told(compiler: Compiler, work: Path, runs: Runs) -> None:
    runs.answer(0, stdout="compiled\n")
    made = "opt/venv/__pycache__/a.cpython-312.pyc"
    make_files(work, {f"bytecode/{made}": b"code"})
    assert compiler.compile(MODULES, work) == {made: f"{work}/bytecode/{made}"}


def test_where_namespaces_are_forbidden_the_bases_own_loader_starts_its_python(
    compiler: Compiler, work: Path, runs: Runs, tmp_path: Path
) -> None:
    runs.answer(1, stderr="bwrap: No permissions to create new namespace")
    runs.answer(0, stdout="compiled\n")
    compiler.compile(MODULES, work)
    argv, env, _ = runs.seen[1]
    assert argv[0] == str(tmp_path / "0/lib/x86_64-linux-gnu/ld.so")
    assert (
        argv[2]
        == f"{tmp_path}/1/usr/local/lib:{tmp_path}/0/lib/x86_64-linux-gnu:{tmp_path}/0/lib64:{tmp_path}/0/lib"
    )
    assert argv[3] == str(tmp_path / "1/usr/local/bin/python3.12")
    assert env == {"PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "PYTHONHOME": str(tmp_path / "1/usr/local")}


def test_where_neither_works_both_reasons_are_told(compiler: Compiler, work: Path, runs: Runs) -> None:
    runs.answer(1, stderr="bwrap: No permissions to create new namespace")
    runs.answer(127, stderr="cannot execute binary file")
    with pytest.raises(CompilingFailed) as caught:
        compiler.compile(MODULES, work)
    assert "No permissions to create new namespace" in caught.value.what
    assert "cannot execute binary file" in caught.value.what


def test_a_full_disk_is_no_fault_of_the_compilers(compiler: Compiler, work: Path, runs: Runs) -> None:
    runs.answer(1, stderr="[Errno 28] No space left on device: b'bytecode/a.pyc'")
    with pytest.raises(DiskFull):
        compiler.compile(MODULES, work)


def test_success_must_be_said_not_only_exited(compiler: Compiler, work: Path, runs: Runs) -> None:
    runs.answer(0)
    runs.answer(0)
    with pytest.raises(CompilingFailed):
        compiler.compile(MODULES, work)


def test_bytecode_lies_where_python_looks_for_it() -> None:
    assert bytecode_path("a/b.c.py", "cpython-311") == "a/__pycache__/b.c.cpython-311.pyc"


def test_bubblewrap_comes_with_its_wheel() -> None:
    found = find_bwrap()
    assert found
    assert found.is_file()


def test_another_processors_programs_do_not_run_here() -> None:
    assert not runs_here(Platform("linux", "s390x"))
    assert not runs_here(Platform("windows", "amd64"))
