"""Programs that are no Python packages."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@cache
def program(name: str) -> str:
    """The path of a program that scripts/tools knows, brought by scripts/tools where PATH lacks it."""
    brought = subprocess.run([ROOT / "scripts" / "tools", name], capture_output=True, text=True, check=False)
    if brought.returncode:
        pytest.fail(brought.stderr, pytrace=False)
    return brought.stdout.strip()
