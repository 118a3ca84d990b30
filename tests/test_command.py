from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from ml_containerize.command import run, start

pytestmark = pytest.mark.e2e


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-c", code]


def test_a_program_beside_this_one_tells_what_it_printed_and_how_it_ended() -> None:
    with start(python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")) as wait:
        done = wait()
    assert (done.stdout, done.stderr, done.status, done.ok) == ("out\n", "err\n", 3, False)


def test_who_leaves_earlier_ends_the_program() -> None:
    began = time.monotonic()
    with start(python("import time; time.sleep(60)")):
        pass
    assert time.monotonic() - began < 10


def test_environment_and_folder_are_what_was_asked_for(tmp_path: Path) -> None:
    code = "import os; print(os.environ.get('A'), os.environ.get('HOME'), os.getcwd())"
    expected = f"b None {tmp_path}\n"
    with start(python(code), cwd=tmp_path, env={"A": "b"}) as wait:
        assert wait().stdout == expected
    assert run(python(code), cwd=tmp_path, env={"A": "b"}).stdout == expected


def test_more_output_than_a_pipe_holds_is_no_trouble() -> None:
    with start(python("print('x' * 1_000_000)")) as wait:
        assert len(wait().stdout) == 1_000_001
