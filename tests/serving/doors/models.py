"""Models without a framework: a NumPy function for each signature, served under a name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from serving.doors import Predict
from serving.http import Answer, Request
from serving.served import Served
from serving.signature import Signature, TensorSpec
from serving.tensors import Tensor

Function = Callable[..., Mapping[str, Tensor]]


@dataclass(frozen=True, slots=True)
class FunctionModel:
    """Calls the signature's function with one array per input, by name."""

    signatures: Mapping[str, Signature]
    functions: Mapping[str, Function]
    device: str = "cpu"

    def predict(self, batch: Mapping[str, Tensor], signature: str = "") -> dict[str, Tensor]:
        name = signature or next(iter(self.signatures))
        return dict(self.functions[name](**batch))


def serve(
    inputs: Mapping[str, tuple[str, tuple[int | None, ...] | None]],
    outputs: Mapping[str, tuple[str, tuple[int | None, ...] | None]],
    function: Function,
    *,
    name: str = "m",
    version: str = "1",
    max_rows: int = 100,
) -> Served:
    """A model of one signature, given as name → (dtype, shape)."""
    signature = Signature(_specs(inputs), _specs(outputs))
    model = FunctionModel({"serving_default": signature}, {"serving_default": function})
    return Served(name, version, model, max_rows, {"format": "keras", "environment_key": "e1"})


def _specs(tensors: Mapping[str, tuple[str, tuple[int | None, ...] | None]]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(name, dtype, shape) for name, (dtype, shape) in tensors.items())


def echo(dtype: str, *shape: int | None, max_rows: int = 100) -> Served:
    """One input and one output of the same type; the answer is what was sent."""
    tensors = (dtype, (None, *shape))
    return serve({"x": tensors}, {"y": tensors}, lambda x: {"y": x}, max_rows=max_rows)


def half_plus(number: float, name: str) -> Served:
    """TensorFlow Serving's toy models, x/2 + 2 or 3."""
    return serve(
        {"x": ("float32", (None,))},
        {"y": ("float32", (None,))},
        lambda x: {"y": x / 2 + np.float32(number)},
        name=name,
        version="123",
    )


PERSON_IN = {"age": ("int64", (None,)), "text": ("string", (None,))}
PERSON_OUT = {"older": ("int64", (None,)), "loud": ("string", (None, 2))}


def person() -> Served:
    """Two inputs, two outputs."""

    def function(age: Tensor, text: Tensor) -> dict[str, Tensor]:
        upper = np.array([[value.upper(), b"!"] for value in text.tolist()], object)
        return {"older": age + 1, "loud": upper}

    return serve(PERSON_IN, PERSON_OUT, function)


def two_signatures() -> Served:
    """The default doubles, "negate" negates."""
    spec = (TensorSpec("x", "float32", (None, 2)),)
    signature = Signature(spec, (TensorSpec("y", "float32", (None, 2)),))
    functions = {"serving_default": lambda x: {"y": x * 2}, "negate": lambda x: {"y": -x}}
    return Served("m", "1", FunctionModel(dict.fromkeys(functions, signature), functions), 100)


def ask(
    served: Served, predict: Predict, body: Any, headers: Mapping[str, str] | None = None
) -> tuple[Any, Answer]:
    """The answer's JSON (its header where bytes follow) and the answer to a body: text, bytes or a value."""
    raw = body.encode() if isinstance(body, str) else body if isinstance(body, bytes) else orjson.dumps(body)
    task = predict(served, Request("POST", "/", headers or {}, raw))
    answer = task.write(served.model.predict(task.batch, task.signature))
    length = int(dict(answer.headers).get("Inference-Header-Content-Length", len(answer.body)))
    return orjson.loads(answer.body[:length]) if answer.content_type != "text/csv" else None, answer
