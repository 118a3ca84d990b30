"""What is sent: a set of requests with the answers that the framework itself gives to them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
RTOL, ATOL = 1e-3, 1e-5  # batches of another size sum in another order


@dataclass(frozen=True, slots=True)
class Reply:
    """One response; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


Read = Callable[[Reply], Any]  # the predictions in a reply, as anything that NumPy makes an array of


@dataclass(frozen=True, slots=True)
class Load:
    """Requests to one path: body i must be answered with expected[i], an array of (rows, outputs)."""

    path: str
    headers: Mapping[str, str]
    bodies: Sequence[bytes]
    expected: Sequence[Array]
    read: Read

    def is_right(self, index: int, reply: Reply) -> bool:
        """Whether this reply to body `index` carries the framework's own prediction."""
        if reply.status != 200:
            return False
        try:
            answer = np.asarray(self.read(reply), np.float64)
        except (ValueError, KeyError, TypeError, IndexError):
            return False
        expected = self.expected[index]
        return answer.shape == expected.shape and np.allclose(answer, expected, RTOL, ATOL)


Form = Callable[[Sequence[Array], Sequence[Array]], Load]  # the load of (batches, what is expected for each)


def json_form(path: str, key: str, read: Read) -> Form:
    """Bodies of the form {key: [row, …]}, each number as short as float32 allows."""

    def load(batches: Sequence[Array], expected: Sequence[Array]) -> Load:
        bodies = [f'{{"{key}":{_rows(batch)}}}'.encode() for batch in batches]
        return Load(path, {"Content-Type": "application/json"}, bodies, expected, read)

    return load


def binary_load(name: str, batches: Sequence[Array], expected: Sequence[Array]) -> Load:
    """Open Inference Protocol V2 with the binary tensor extension, in both directions.

    https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
    All batches have one shape, so that one length of the JSON part fits them all.
    """
    tensor = {
        "name": name,
        "shape": batches[0].shape,
        "datatype": "FP32",
        "parameters": {"binary_data_size": batches[0].nbytes},
    }
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    headers = {
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": str(len(head)),
    }
    bodies = [head + batch.astype("<f4").tobytes() for batch in batches]
    return Load("/v2/models/model/infer", headers, bodies, expected, read_binary)


def read_binary(reply: Reply) -> Array:
    """The only output tensor of a V2 answer with binary data."""
    size = int(reply.headers["inference-header-content-length"])
    (output,) = json.loads(reply.body[:size])["outputs"]
    data = reply.body[size : size + output["parameters"]["binary_data_size"]]
    return np.frombuffer(data, "<f4").reshape(output["shape"])


def _rows(value: Any) -> str:
    """JSON of an array; NumPy prints a float32 with no more digits than it has."""
    if value.ndim > 1:
        return f"[{','.join(map(_rows, value))}]"
    return f"[{','.join(map(str, value))}]"
