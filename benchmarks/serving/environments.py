"""One virtual environment a server, made from its lock with hashes and kept until the lock changes."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from benchmarks.machine import ROOT, call, say

HERE = Path(__file__).parent
KEPT = ROOT / ".cache" / "bench"
OURS = {"ours": "tensorflow", "ours-onnx": "onnx"}
PYTHON = "3.11"


def interpreter(name: str) -> Path:
    """The Python of "ours", "ours-onnx" or a peer; packages are byte-compiled, as in an image."""
    lock = ROOT / "serving" / "requirements" / f"{OURS[name]}.lock" if name in OURS else HERE / f"{name}.lock"
    folder = KEPT / name
    stamp, wanted = folder / "lock.sha256", hashlib.sha256(lock.read_bytes()).hexdigest()
    python = folder / "bin" / "python"
    if not stamp.exists() or stamp.read_text() != wanted:
        say(f"  making the environment {name}")
        uv = Path(sys.executable).parent / "uv"
        call(uv, "venv", "--quiet", "--clear", "--python", PYTHON, folder)
        call(
            uv, "pip", "install", "--quiet", "--require-hashes", "--only-binary", ":all:",
            "--compile-bytecode", "--python", python, "--requirement", lock,
        )  # fmt: skip
        stamp.write_text(wanted)
    return python
