"""Traced TensorFlow functions as a Model; what the TensorFlow formats share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf

from serving.errors import ModelUnusable
from serving.runtimes.session import Run, session_run
from serving.signature import Signature, TensorSpec
from serving.tensors import Tensor

Call = Callable[[Sequence[Any]], Sequence[Any]]

_INTEGERS = {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
_SENDABLE = {"bool", "string", "bfloat16", "float16", "float32", "float64"} | _INTEGERS


class TracedFunction:
    """A function as one graph: arrays by input name in, arrays by output name out."""

    def __init__(self, inputs: Mapping[str, Any], outputs: Sequence[str], call: Call) -> None:
        """Trace `call`: tensors in the order of `inputs`, TensorFlow's specs by name, to those of `outputs`.

        Raises ModelUnusable where JSON has no form for one of them.
        """
        described = tuple(tensor_spec(name, spec) for name, spec in inputs.items())
        specs = [tf.TensorSpec(spec.shape, spec.dtype) for spec in inputs.values()]
        traced = tf.function(lambda *tensors: call(tensors), input_signature=specs, autograph=False)
        self._function = traced.get_concrete_function()
        results = zip(outputs, self._function.structured_outputs, strict=True)
        self.signature = Signature(
            described,
            tuple(tensor_spec(name, tensor) for name, tensor in results),
        )
        self._dtypes = {name: tf.as_dtype(spec.dtype).as_numpy_dtype for name, spec in inputs.items()}
        self._captured = self._function.captured_inputs
        self._result_types = [tensor.dtype for tensor in self._function.outputs]

    def __call__(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        arrays = [np.asarray(batch[name], dtype) for name, dtype in self._dtypes.items()]
        outputs = zip(self.signature.outputs, self._run(arrays), strict=True)
        return {spec.name: output for spec, output in outputs}

    @cached_property
    def _run(self) -> Run:
        """The fastest way to compute, chosen at the first call: of many signatures few are ever asked for."""
        if tf.config.list_physical_devices("GPU"):
            return self._placed
        in_session = session_run(self._function, len(self._dtypes))
        if in_session is None:
            return self._direct

        def run(arrays: Sequence[Tensor]) -> list[Tensor]:
            try:
                return in_session(arrays)
            except tf.errors.OpError:  # a failed session may grow the heap where the function does not
                self._run = self._direct
                return self._direct(arrays)

        return run

    def _direct(self, arrays: Sequence[Tensor]) -> list[Tensor]:
        """Execute the graph as one operation: a fifth of the time that calling the function object takes.

        https://www.tensorflow.org/api_docs/python/tf/raw_ops/StatefulPartitionedCall
        """
        outputs = tf.raw_ops.StatefulPartitionedCall(
            args=[*arrays, *self._captured], Tout=self._result_types, f=self._function
        )
        return [output.numpy() for output in outputs]

    def _placed(self, arrays: Sequence[Tensor]) -> list[Tensor]:
        return [output.numpy() for output in self._function(*map(tf.constant, arrays))]


class TracedModel:
    """Calls the function of the signature that is asked for."""

    def __init__(self, functions: Mapping[str, TracedFunction], owner: object) -> None:
        """`owner` holds the variables, which TensorFlow's functions refer to weakly."""
        self.signatures = {name: function.signature for name, function in functions.items()}
        self.device = _device()
        self._functions = {"": next(iter(functions.values())), **functions}
        self._owner = owner

    def predict(self, batch: Mapping[str, Tensor], signature: str = "") -> dict[str, Tensor]:
        return self._functions[signature](batch)


def tensor_spec(name: str, tensor: Any) -> TensorSpec:
    """Describe one of TensorFlow's tensors or specs; raises ModelUnusable where JSON has no form for it."""
    dtype = tf.as_dtype(tensor.dtype).name
    if dtype not in _SENDABLE or isinstance(tensor, (tf.SparseTensorSpec, tf.RaggedTensorSpec)):
        raise ModelUnusable(f"the tensor {name!r} is a {dtype} of a kind that JSON cannot carry")
    rank_free = tensor.shape.rank is None
    if not rank_free and tensor.shape.rank == 0:
        raise ModelUnusable(f"the tensor {name!r} is a single value without a dimension for rows")
    return TensorSpec(name, dtype, None if rank_free else tuple(tensor.shape.as_list()))


def _device() -> str:
    for gpu in tf.config.list_physical_devices("GPU"):
        return str(tf.config.experimental.get_device_details(gpu).get("device_name", "gpu"))
    return "cpu"
