"""Smoke cases that are recorded anew."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from support.command import BIN


def record_anew(project: Path, requests: Path) -> None:
    """Ask the model again for every case that it answers; the requests are kept in a new folder."""
    requests.mkdir()
    for case in (project / "smoke").iterdir():
        if not case.name.startswith("refuses"):
            (requests / case.name).write_text(json.dumps(json.loads(case.read_text())["request"]))
    argv = [BIN / "ml-containerize", "record", project, *sorted(requests.iterdir())]
    subprocess.run([*argv, "--force", "--python", sys.executable], check=True, capture_output=True)
