from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
RUNS = 10_000
MEMORY = 128  # MiB, half of it Python's and NumPy's own; libFuzzer ends a run that needs more
# A process inherits the highest memory use of the one that starts it, pytest's with all frameworks in it
# (getrusage(2), ru_maxrss); one that a small shell forks does not.
FORKED = ("/bin/sh", "-c", '"$@"; exit $?', "sh")


@pytest.mark.e2e
def test_ten_thousand_binary_bodies_crash_nothing(tmp_path: Path) -> None:
    """libFuzzer takes the process over, which is why it gets one of its own."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    lengths = ["-max_len=512", "-len_control=0"]
    limits = [f"-runs={RUNS}", f"-rss_limit_mb={MEMORY}", "-malloc_limit_mb=64", "-timeout=30"]
    options = [*lengths, *limits, f"-artifact_prefix={tmp_path}/", str(corpus)]
    done = subprocess.run(
        [*FORKED, sys.executable, "-m", "tests.serving.fuzz.binary_reader", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-3000:]
    assert re.search(rf"Done {RUNS} runs", said), said[-3000:]
    assert "cases were answered" in done.stdout
