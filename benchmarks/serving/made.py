"""Models with known answers, made once by models.py with our server's own Python and kept in .cache/bench."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.machine import ROOT, say
from benchmarks.serving.environments import KEPT, interpreter
from benchmarks.serving.load import Array

PROGRAM = Path(__file__).with_name("models.py")
LONGEST = 300  # seconds


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """A model as Keras file and SavedModel, inputs (rows first), and the framework's outputs for them."""

    folder: Path
    name: str  # of the only input
    inputs: Array
    outputs: Array

    @property
    def keras(self) -> Path:
        return self.folder / "model.keras"

    @property
    def saved_model(self) -> Path:
        return self.folder / "saved_model"

    def batches(self, rows: int, most: int = 64) -> tuple[list[Array], list[Array]]:
        """At most `most` batches of so many rows, and what must be answered to each."""
        count = min(most, len(self.inputs) // rows)
        size = count * rows
        return np.split(self.inputs[:size], count), np.split(self.outputs[:size], count)


@cache
def made(name: str) -> Made:
    """The model of that name in models.py."""
    python = interpreter("ours")
    sources = (PROGRAM, ROOT / "examples" / "digits" / "model.keras", python.parents[1] / "lock.sha256")
    key = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]
    folder = KEPT / "models" / f"{name}-{key}"
    answers = folder / "answers.npz"
    if not answers.exists():
        say(f"  making the model {name}")
        argv = [str(python), "-m", "benchmarks.serving.models", name, str(folder)]
        subprocess.run(argv, cwd=ROOT, capture_output=True, check=True, timeout=LONGEST)
    with np.load(answers) as found:
        return Made(folder, str(found["name"]), found["inputs"], found["outputs"])
