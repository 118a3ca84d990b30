"""The model server against others: the same model, machine and processors, all in one run.

One JSON line a case on stdout; what happens meanwhile on stderr. Exit status 1 where an answer was wrong.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.case import Case, arguments, end_in_order, run_cases
from benchmarks.serving.resnet import resnet50
from benchmarks.serving.soak import soak
from benchmarks.serving.stand import Stand
from benchmarks.serving.start import start, start_onnx
from benchmarks.serving.throughput import (
    half_load,
    image_binary,
    many_connections,
    rows_32_binary,
    rows_32_json,
    single_row,
)

CPUS = 2

CASES: dict[str, Callable[[Stand], Iterator[Case]]] = {
    "single-row": single_row,
    "half-load": half_load,
    "connections-64": many_connections,
    "rows-32-json": rows_32_json,
    "rows-32-binary": rows_32_binary,
    "image-binary": image_binary,
    "resnet50": resnet50,
    "start": start,
    "start-onnx": start_onnx,
    "soak": soak,
}
DEFAULT = [name for name in CASES if name != "soak"]


def main() -> int:
    parser = arguments(__doc__, CASES, "all but soak")
    parser.add_argument("--seconds", type=float, default=8, help="how long each load lasts (default: 8)")
    chosen = parser.parse_args()
    os.environ["LC_ALL"] = "C"
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CPUS])  # all that is started has the same ones
    end_in_order()
    with tempfile.TemporaryDirectory(prefix="bench-serving-") as folder:
        return run_cases(chosen.only or DEFAULT, CASES, Stand(Path(folder), chosen.seconds))


if __name__ == "__main__":
    sys.exit(main())
