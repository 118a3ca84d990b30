from __future__ import annotations

import marshal
import os
import sys
from importlib.util import MAGIC_NUMBER, source_hash
from pathlib import Path

import pytest

from ml_containerize.build.compile_driver import CHUNK, compile_all, compile_file

SOURCE = b"GREETING = 'hello'\n\ndef greet(name):\n    return {GREETING, name, 1.5, None} | {'a', 'b'}\n"


def compiled(folder: Path, source: bytes, name: str = "/opt/venv/lib/m.py") -> bytes | None:
    path, target = folder / "m.py", folder / "made" / "m.pyc"
    path.write_bytes(source)
    compile_file(os.fsencode(path), os.fsencode(target), name)
    return target.read_bytes() if target.exists() else None


def test_bytecode_carries_a_hash_that_is_never_checked(tmp_path: Path) -> None:
    made = compiled(tmp_path, SOURCE)
    assert made
    assert made[:16] == MAGIC_NUMBER + bytes((1, 0, 0, 0)) + source_hash(SOURCE)


def test_tracebacks_show_the_path_inside_the_image(tmp_path: Path) -> None:
    made = compiled(tmp_path, SOURCE)
    assert made
    assert marshal.loads(made[16:]).co_filename == "/opt/venv/lib/m.py"  # noqa: S302 (made right above)
    assert os.fsencode(tmp_path) not in made


@pytest.mark.parametrize(
    "source",
    [b"print 'hello'\n", b"{{ name }} = 1 1\n", b"\0", b"\xff = 1\n"],
    ids=["2", "{{", "NUL", "byte"],
)
def test_what_does_not_compile_has_no_bytecode(tmp_path: Path, source: bytes) -> None:
    assert compiled(tmp_path, source) is None


def test_assertions_and_docstrings_stay(tmp_path: Path) -> None:
    made = compiled(tmp_path, b"'''Told.'''\nassert False, 'kept'\n")
    assert made
    assert b"Told." in made
    assert b"kept" in made


@pytest.mark.e2e
def test_the_number_of_processes_and_what_was_compiled_before_do_not_show(tmp_path: Path) -> None:
    names = [f"m{number}" for number in range(2 * CHUNK + 5)]
    for name in names:
        (tmp_path / f"{name}.py").write_bytes(SOURCE.replace(b"greet", name.encode()))
    found = []
    for processes in (1, 3):
        made = tmp_path / str(processes)
        jobs = [
            (os.fsencode(tmp_path / f"{n}.py"), os.fsencode(made / f"{n}.pyc"), b"/opt/" + n.encode())
            for n in names
        ]
        assert compile_all(jobs, processes) == 0
        found.append([(made / f"{name}.pyc").read_bytes() for name in names])
    assert found[0] == found[1]


@pytest.mark.e2e
def test_a_file_that_cannot_be_read_fails_the_whole(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    jobs = [(os.fsencode(tmp_path / "gone.py"), os.fsencode(tmp_path / "gone.pyc"), b"/opt/gone.py")]
    assert compile_all(jobs, 2) == 1
    assert "gone.py" in capfd.readouterr().err


def test_it_needs_nothing_but_the_standard_library_of_an_old_python() -> None:
    module = sys.modules["ml_containerize.build.compile_driver"]
    text = Path(str(module.__file__)).read_text()
    assert "ml_containerize" not in text
    assert "match " not in text
