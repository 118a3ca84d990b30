"""A traced TensorFlow function as a Model; what the TensorFlow formats share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from serving.errors import ModelUnusable
from serving.signature import Signature, TensorSpec
from serving.tensors import Tensor

Call = Callable[[Sequence[Any]], Sequence[Any]]

_INTEGERS = {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
_SENDABLE = {"bool", "string", "bfloat16", "float16", "float32", "float64"} | _INTEGERS


@dataclass(frozen=True, slots=True)
class Traced:
    """One concrete function: tensors in the order of the inputs in, in the order of the outputs out."""

    signature: Signature
    call: Call


class TracedModel:
    """Calls the concrete function of the signature that is asked for."""

    def __init__(self, functions: Mapping[str, Traced], owner: object) -> None:
        """`owner` holds the variables, which TensorFlow's functions refer to weakly."""
        self.signatures = {name: function.signature for name, function in functions.items()}
        self.device = _device()
        self._functions = {"": next(iter(functions.values())), **functions}
        self._owner = owner

    def predict(self, batch: Mapping[str, Tensor], signature: str = "") -> dict[str, Tensor]:
        traced = self._functions[signature]
        tensors = [tf.cast(tf.constant(batch[spec.name]), spec.dtype) for spec in traced.signature.inputs]
        outputs = zip(traced.signature.outputs, traced.call(tensors), strict=True)
        return {spec.name: output.numpy() for spec, output in outputs}


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
