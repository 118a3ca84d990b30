"""One request from bytes to predictions, with nothing of HTTP in it."""

from __future__ import annotations

import numpy as np

from serving.errors import ModelUnusable, one_line
from serving.runtimes import Model, default_signature
from serving.signature import TensorSpec
from serving.tensors import Tensor, numpy_dtype


def warm_up(model: Model) -> bool:
    """Predict for one row of zeros, so that no client waits for the first call.

    False where a free dimension leaves open what a row looks like. Raises ModelUnusable where the call
    fails, or its answer does not have one element for each row.
    """
    inputs = default_signature(model).inputs
    if any(spec.row_shape is None or None in spec.row_shape for spec in inputs):
        return False
    batch = {spec.name: _zeros(spec) for spec in inputs}
    rows = len(next(iter(batch.values())))
    try:
        outputs = model.predict(batch)
    except Exception as error:
        raise ModelUnusable(f"the model's first call failed: {one_line(error)}") from error
    for name, array in outputs.items():
        if not array.shape or len(array) != rows:
            raise ModelUnusable(f"the output {name!r} has the shape {array.shape} for {rows} row(s)")
    return True


def _zeros(spec: TensorSpec) -> Tensor:
    rows, *row = spec.shape or (None,)
    shape = [rows or 1, *(size or 1 for size in row)]
    dtype = numpy_dtype(spec.dtype)
    return np.full(shape, b"", dtype) if dtype.kind == "O" else np.zeros(shape, dtype)
