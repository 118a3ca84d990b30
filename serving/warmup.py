"""Calls before the first request, so that no client waits for what a framework does only once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from serving.errors import ModelUnusable, one_line
from serving.runtimes import Model, default_signature
from serving.signature import Signature, TensorSpec
from serving.tensors import Tensor, numpy_dtype

Seconds = dict[int, float]  # of one call, by its number of rows

RECORDED = Path("assets.extra") / "tf_serving_warmup_requests"
BUDGET = 2.0  # seconds for all calls after the first, in which a framework may compile
_SETTLED = 0.9  # a call that takes more than this of the best one before is no longer getting faster


def warm_up(
    model: Model, path: Path, max_rows: int, clock: Callable[[], float] = time.perf_counter
) -> Seconds:
    """Make the requests that came with a SavedModel, else calls with zeros; how long each size takes then.

    Nothing is warm, {}, where nobody can know what a row looks like. Raises ModelUnusable where a call
    fails, or an answer does not have one element for each row.
    https://www.tensorflow.org/tfx/serving/saved_model_warmup
    """
    if (path / RECORDED).is_file():
        return _make_recorded_requests(model, path / RECORDED, clock)
    signature = default_signature(model)
    if any(spec.row_shape is None or spec.dtype == "json" for spec in signature.inputs):
        return {}
    if any(None in (spec.row_shape or ()) for spec in signature.inputs):
        return _try_one_row(model, signature, clock)
    return _make_calls_with_zeros(model, signature, max_rows, clock)


def _make_recorded_requests(model: Model, file: Path, clock: Callable[[], float]) -> Seconds:
    from serving.warmup_requests import read_requests  # TensorFlow is there: it loaded the model

    seconds: Seconds = {}
    end = clock() + BUDGET
    for number, request in enumerate(read_requests(file)):
        try:
            call = partial(_measure, model, request.inputs, request.signature, clock)
            taken = _settled(call, clock, end)
        except Exception as error:
            raise ModelUnusable(f"{file.name}, record {number}: {one_line(error)}") from error
        rows = _rows(request.inputs)
        seconds[rows] = min(taken, seconds.get(rows, taken))
    return seconds


def _try_one_row(model: Model, signature: Signature, clock: Callable[[], float]) -> Seconds:
    try:
        return {1: _measure(model, _zeros(signature, 1), "", clock)}
    except Exception:
        return {}


def _make_calls_with_zeros(
    model: Model, signature: Signature, max_rows: int, clock: Callable[[], float]
) -> Seconds:
    """One row, then twice as many each time, until the next size would take longer than is left."""
    sizes = list(_sizes(signature, max_rows))
    seconds: Seconds = {}
    try:
        _measure(model, _zeros(signature, sizes[0]), "", clock)
        least, end = 0.0, clock() + BUDGET
        for rows in sizes:
            if clock() + 2 * least > end:
                break
            least = _settled(partial(_measure, model, _zeros(signature, rows), "", clock), clock, end)
            seconds[rows] = least
    except ModelUnusable:
        raise
    except Exception as error:
        raise ModelUnusable(f"the model's first call failed: {one_line(error)}") from error
    return seconds


def _sizes(signature: Signature, max_rows: int) -> Iterator[int]:
    """1, 2, 4 … max_rows, or the only number of rows that the model takes."""
    fixed = next((spec.shape[0] for spec in signature.inputs if spec.shape and spec.shape[0]), None)
    if fixed is not None:
        yield fixed
        return
    rows = 1
    while rows < max_rows:
        yield rows
        rows *= 2
    yield max_rows


def _settled(call: Callable[[], float], clock: Callable[[], float], end: float) -> float:
    """The least seconds of a call, repeated until two in a row are not clearly faster, or time is up."""
    best, slower = call(), 0
    while slower < 2 and clock() + best < end:
        taken = call()
        slower = 0 if taken < best * _SETTLED else slower + 1
        best = min(best, taken)
    return best


def _measure(model: Model, batch: Mapping[str, Tensor], signature: str, clock: Callable[[], float]) -> float:
    """The seconds of one call; ModelUnusable where the answer is not row by row."""
    rows = _rows(batch)
    start = clock()
    outputs = model.predict(batch, signature)
    taken = clock() - start
    for name, array in outputs.items():
        if not array.shape or len(array) != rows:
            raise ModelUnusable(f"the output {name!r} has the shape {array.shape} for {rows} row(s)")
    return taken


def _rows(batch: Mapping[str, Tensor]) -> int:
    return len(next(iter(batch.values())))


def _zeros(signature: Signature, rows: int) -> dict[str, Tensor]:
    return {spec.name: _zero_rows(spec, rows) for spec in signature.inputs}


def _zero_rows(spec: TensorSpec, rows: int) -> Tensor:
    shape = [rows, *(size or 1 for size in spec.row_shape or ())]
    dtype = numpy_dtype(spec.dtype)
    return np.full(shape, b"", dtype) if dtype.kind == "O" else np.zeros(shape, dtype)
