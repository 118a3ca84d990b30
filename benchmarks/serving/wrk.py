"""wrk: sends as fast as the server answers, or at a constant rate, on a number of connections."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import ROOT, call
from benchmarks.serving.load import Load

SCRIPT = Path(__file__).parent / "wrk.lua"
LONGEST = 60  # seconds until wrk counts a request as lost


@dataclass(frozen=True, slots=True)
class Saturation:
    """Requests a second answered with a status below 400, latencies in seconds, and how many were not:

    `errors` counts lost connections and unanswered requests, `refused` a status of 400 and above.
    """

    right: float
    p50: float
    p99: float
    longest: float
    errors: int
    refused: int


def saturate(origin: str, load: Load, connections: int, seconds: float, rate: float = 0) -> Saturation:
    """Run wrk with one thread against http://host:port; raises SystemExit where it fails.

    `rate` is in requests a second; 0 is as fast as they are answered.
    """
    with tempfile.TemporaryDirectory(prefix="bench-wrk-") as folder:
        for index, body in enumerate(load.bodies):
            (Path(folder) / str(index)).write_bytes(body)
        argv = [
            program(), "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", f"--timeout={LONGEST}s",
            "--latency", "-s", str(SCRIPT), origin + load.path,
            "--", folder, str(len(load.bodies)), str(rate),
            *(f"{name}={value}" for name, value in load.headers.items()),
        ]  # fmt: skip
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=seconds + 2 * LONGEST, check=False
        )
    if done.returncode:
        raise SystemExit(f"{' '.join(argv)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    return Saturation(
        (found["requests"] - found["refused"]) / found["seconds"],
        found["p50"],
        found["p99"],
        found["longest"],
        found["errors"],
        found["refused"],
    )


def program() -> str:
    """wrk from PATH, or unpacked from the distribution's package."""
    return shutil.which("wrk") or call(ROOT / "scripts" / "tools", "wrk").strip()
