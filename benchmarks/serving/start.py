"""From the start of the process to the first right answer, against the framework alone."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.case import Case
from benchmarks.machine import ROOT, say
from benchmarks.serving.environments import interpreter
from benchmarks.serving.made import Made, made
from benchmarks.serving.stand import Stand
from benchmarks.serving.targets import QUIET, Target, ours

TIMES = 3  # after one that only fills the page cache
LONGEST = 120  # seconds
ONNX = ROOT / "examples" / "digits-onnx"
LOAD_KERAS = (
    "import sys, tensorflow, keras; keras.saving.load_model(sys.argv[1]); print('loaded', flush=True)"
)
LOAD_SAVED_MODEL = (
    "import sys, tensorflow; tensorflow.saved_model.load(sys.argv[1]); print('loaded', flush=True)"
)


def start(stand: Stand) -> Iterator[Case]:
    """Ours against `import tensorflow` and loading the same model; ONNX against our own TensorFlow form.

    Runs alternate, and each figure is the median of three. The framework's clock stops when the model is
    loaded: the end of its process is not counted.
    """
    digits = made("digits")
    keras = _medians(stand, ours(digits.keras), digits, digits.keras, LOAD_KERAS)
    yield _case("start-keras", *keras, "import tensorflow, load the .keras file")
    saved = _medians(stand, ours(digits.saved_model), digits, digits.saved_model, LOAD_SAVED_MODEL)
    yield _case("start-saved-model", *saved, "import tensorflow, load the SavedModel")


def start_onnx(stand: Stand) -> Iterator[Case]:
    """The ONNX form of the digits model against the .keras form, both by our server."""
    digits = made("digits")
    pair = ours(_onnx_model(), environment="ours-onnx"), ours(digits.keras)
    found = [[_first_answer(stand, target, digits) for target in pair] for _ in range(TIMES + 1)][1:]
    onnx, keras = (median(column) for column in zip(*found, strict=True))
    yield _case("start-onnx", onnx, keras, "ours with the same model as .keras")


def _onnx_model() -> Path:
    (model,) = ONNX.glob("*.onnx")
    return model


def _case(name: str, ours: float, other: float, what: str) -> Case:
    return Case(name, ours, other, "s", what, {"ours_over_other": ours / other})


def _medians(stand: Stand, target: Target, model: Made, path: Path, program: str) -> tuple[float, float]:
    found = [
        (_first_answer(stand, target, model), _framework_alone(program, path)) for _ in range(TIMES + 1)
    ][1:]
    return median(ours for ours, _ in found), median(other for _, other in found)


def _first_answer(stand: Stand, target: Target, model: Made) -> float:
    """Seconds; the server is asked every twenty milliseconds."""
    load = target.load(*model.batches(1, most=1))
    with stand.serving(target, load) as server:
        say(f"    {target.name}: {server.ready:.2f} s")
        return server.ready


def _framework_alone(program: str, path: Path) -> float:
    argv = [str(interpreter("ours")), "-c", program, str(path)]
    begin = time.monotonic()
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**os.environ, **QUIET}
    ) as child:
        assert child.stdout is not None
        loaded = child.stdout.readline()
        seconds = time.monotonic() - begin
        child.wait(LONGEST)
    if loaded != b"loaded\n":
        raise SystemExit(f"the framework cannot load {path}")
    say(f"    framework alone: {seconds:.2f} s")
    return seconds
