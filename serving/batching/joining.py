"""Which tasks may share one call of the model, their arrays as one batch, and its outputs as theirs again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise

import numpy as np

from serving.doors import Outputs, Task
from serving.signature import Signature
from serving.tensors import Tensor


class NotByRows(Exception):
    """The model's outputs for a batch do not have one element for each of its rows."""


def takes_any_rows(signature: Signature) -> bool:
    """False where an input has a fixed number of rows, so that no two tasks fit together."""
    return all(spec.shape is None or spec.shape[0] is None for spec in signature.inputs)


def kind(task: Task) -> object:
    """Equal for tasks that fit together: same signature, and per input same shape of a row and data type."""
    return task.signature, {name: (array.shape[1:], array.dtype) for name, array in task.batch.items()}


def joined(tasks: Sequence[Task]) -> Mapping[str, Tensor]:
    """One array per input with the rows of all tasks in order; a single task's own arrays, unchanged."""
    if len(tasks) == 1:
        return tasks[0].batch
    return {name: np.concatenate([task.batch[name] for task in tasks]) for name in tasks[0].batch}


def parted(outputs: Outputs, tasks: Sequence[Task]) -> list[Outputs]:
    """Each task's rows as views of the outputs; raises NotByRows. A single task gets them as they are."""
    if len(tasks) == 1:
        return [outputs]
    bounds = list(accumulate((task.rows for task in tasks), initial=0))
    for name, array in outputs.items():
        if not array.shape or array.shape[0] != bounds[-1]:
            raise NotByRows(f"the output {name!r} has the shape {array.shape} for {bounds[-1]} rows")
    return [{name: array[start:end] for name, array in outputs.items()} for start, end in pairwise(bounds)]
