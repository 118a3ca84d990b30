"""`make demo`, as on a machine where no container engine answers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.command import ROOT

pytestmark = pytest.mark.e2e


def test_the_demo_ships_a_real_model_and_says_how_to_serve_it(tmp_path: Path) -> None:
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("GITHUB_", "ML_CONTAINERIZE_"))}
    environ["DOCKER_HOST"] = f"unix://{tmp_path}/nothing.sock"
    ran = subprocess.run(
        [sys.executable, ROOT / "scripts" / "demo.py"],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert ran.returncode == 0, ran.stderr
    assert re.fullmatch(r"localhost:\d+/digits@sha256:[0-9a-f]{64}\n", ran.stdout)
    record = json.loads((ROOT / ".ml-containerize" / "result.json").read_text())
    assert record["tested_digest"] == record["pushed_digest"]
    assert record["smoke"]["outcome"] in {"passed", "reused"}
    assert record["scan"]["outcome"] in {"passed", "reused"}
    assert "embedded" in record["smoke"]["engine"]
    assert "ml-containerize serve" in ran.stderr
    assert "curl" in ran.stderr
