"""A sample of what the model was asked and what it answered, as JSON lines for watching drift.

Numbers about the values, not the values: those only where REQUEST_LOG_PAYLOADS asks for them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from serving.line_writer import AppendedFile, Descriptor, LineWriter, Sink
from serving.tensors import Tensor

MOST_PENDING = 64 * 2**20  # bytes of tensors that wait to be summarised

_OPTIONS = orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z


@dataclass(frozen=True, slots=True)
class Sampled:
    """One prediction, by the arrays that the model took and gave."""

    time: datetime
    request_id: str
    signature: str
    rows: int
    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]

    @property
    def size(self) -> int:
        """Bytes that it keeps from being freed; strings are guessed at 64 each."""
        arrays = [*self.inputs.values(), *self.outputs.values()]
        return sum(array.size * 64 if array.dtype == object else array.nbytes for array in arrays) + 512


class RequestLog:
    """Queues a share of the predictions for a thread that summarises and writes them."""

    def __init__(
        self,
        sink: Sink,
        *,
        sample: float,
        payloads: bool = False,
        model_hash: str = "",
        on_drop: Callable[[int], None] = lambda _lines: None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`sample` is the share from 0 to 1; `on_drop` is told how many lines were lost."""
        self._sample = sample
        self._payloads = payloads
        self._model_hash = model_hash
        self._chance = chance
        self._writer = LineWriter(sink, self._line, most_pending=MOST_PENDING, on_drop=on_drop)

    def record(
        self,
        request_id: str,
        signature: str,
        rows: int,
        inputs: Mapping[str, Tensor],
        outputs: Mapping[str, Tensor],
    ) -> None:
        """Log one prediction if it is its turn; the arrays must not change afterwards."""
        if self._chance() < self._sample:
            sampled = Sampled(datetime.now(UTC), request_id, signature, rows, inputs, outputs)
            self._writer.put(sampled, sampled.size)

    def close(self) -> None:
        """Write what is queued; a second at most."""
        self._writer.close()

    def _line(self, sampled: Sampled) -> bytes:
        line: dict[str, Any] = {
            "time": sampled.time,
            "request_id": sampled.request_id,
            "model_hash": self._model_hash,
            "signature": sampled.signature,
            "rows": sampled.rows,
            "inputs": {name: summary(array) for name, array in sampled.inputs.items()},
            "outputs": {name: summary(array) for name, array in sampled.outputs.items()},
        }
        if self._payloads:
            line["payload"] = {
                "inputs": {name: _values(array) for name, array in sampled.inputs.items()},
                "outputs": {name: _values(array) for name, array in sampled.outputs.items()},
            }
        return orjson.dumps(line, default=str, option=_OPTIONS)


def sink_named(name: str) -> Sink:
    """REQUEST_LOG's value: "stdout", or a file to append to."""
    return Descriptor(1) if name == "stdout" else AppendedFile(Path(name))


def summary(array: Tensor) -> dict[str, Any]:
    """Least, mean and greatest of the finite values, and how many are missing (None, NaN) or infinite.

    Strings and JSON values are counted, strings also summarised by their length in bytes.
    """
    if array.dtype != object:
        return _of_numbers(array)
    present = [value for value in array.ravel() if value is not None]
    lengths = np.array([len(value) for value in present if isinstance(value, bytes)], np.int64)
    found: dict[str, Any] = {"missing": array.size - len(present)}
    return {**found, "length": _range(lengths)} if lengths.size else found


def _of_numbers(array: Tensor) -> dict[str, Any]:
    missing = infinite = 0
    if array.dtype.kind == "f":
        finite = np.isfinite(array)
        missing = int(np.isnan(array).sum())
        infinite = int(array.size - finite.sum()) - missing
        array = array[finite] if missing or infinite else array
    return {**_range(array), "missing": missing, "infinite": infinite}


def _range(array: Tensor) -> dict[str, float | int | None]:
    if not array.size:
        return {"min": None, "mean": None, "max": None}
    with np.errstate(over="ignore"):
        mean = float(array.mean(dtype=np.float64))
    return {
        "min": array.min().item(),
        "mean": mean if math.isfinite(mean) else None,
        "max": array.max().item(),
    }


def _values(array: Tensor) -> Any:
    return _as_text(array.tolist()) if array.dtype == object else array.tolist()


def _as_text(value: Any) -> Any:
    """Nested lists with strings in place of bytes."""
    if isinstance(value, list):
        return [_as_text(item) for item in value]
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value
