"""The protocols that clients already speak, each a module of pure functions over one model.

A door reads a request into a task for the model, and knows how to write the model's answer. Neither knows who
calls the model: the front end queues the task with those of other requests, Flask's views wait for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from serving.http import Answer, Request
from serving.served import Served
from serving.tensors import Tensor

Outputs = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Task:
    """What a request asks of the model: one array per input, rows first, and how to write the outputs."""

    signature: str  # a name in the model's `signatures`
    batch: Mapping[str, Tensor]
    rows: int
    write: Callable[[Outputs], Answer]  # raises Refused where the protocol cannot carry an output


Predict = Callable[[Served, Request], Task]  # raises Refused
Inform = Callable[[Served, Request], Answer]  # raises Refused


@dataclass(frozen=True, slots=True)
class Route:
    """One operation at one exact path: a prediction where `predict` is given, else an answer at once."""

    method: str
    path: str
    door: str  # the protocol's label in metrics: predict, v1, v2, sagemaker, vertex
    summary: str  # one line for the OpenAPI document
    predict: Predict | None = None
    inform: Inform | None = None
