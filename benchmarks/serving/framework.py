"""TensorFlow's own throughput without any server: run with our server's own Python, prints JSON.

    python -m benchmarks.serving.framework FOLDER SECONDS

calls the signature of FOLDER/saved_model on batches of 1, 8 and 32 rows for SECONDS each and prints the rows
a second of each size: {"1": 10.2, "8": 14.1, "32": 14.0}. Threads are set as the server sets them.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from serving.settings import prepare_frameworks, usable_cpus

SIZES = (1, 8, 32)


def main(folder: Path, seconds: float) -> None:
    prepare_frameworks(os.environ, usable_cpus())
    import numpy as np
    import tensorflow as tf

    model = tf.saved_model.load(str(folder / "saved_model"))
    call = model.signatures["serving_default"]
    answers = np.load(folder / "answers.npz")
    rates = {}
    for size in SIZES:
        batch = {str(answers["name"]): tf.constant(answers["inputs"][:size])}
        rates[size] = size * _calls_a_second(lambda batch=batch: call(**batch), seconds)
    print(json.dumps(rates))


def _calls_a_second(call: Any, seconds: float) -> float:
    for _ in range(2):  # traces, allocates
        call()
    start, calls = time.perf_counter(), 0
    while (passed := time.perf_counter() - start) < seconds:
        next(iter(call().values())).numpy()
        calls += 1
    return calls / passed


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
