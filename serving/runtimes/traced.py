"""A traced TensorFlow function as a Model; what the TensorFlow formats share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from serving.errors import ModelUnusable
from serving.signature import Signature, TensorSpec
from serving.tensors import Tensor

Call = Callable[[Sequence[Any]], Sequence[Any]]

_INTEGERS = {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
_SENDABLE = {"bool", "string", "bfloat16", "float16", "float32", "float64"} | _INTEGERS


class TracedModel:
    """Calls one concrete function: tensors in the order of the inputs in, in the order of the outputs out."""

    def __init__(self, signature: Signature, call: Call, owner: object) -> None:
        """`owner` holds the variables, which TensorFlow's functions refer to weakly."""
        self.signature = signature
        self._call = call
        self._owner = owner
        self._dtypes = [tf.as_dtype(spec.dtype) for spec in signature.inputs]
        self.device = _device()

    def predict(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        tensors = [
            tf.cast(tf.constant(batch[spec.name]), dtype)
            for spec, dtype in zip(self.signature.inputs, self._dtypes, strict=True)
        ]
        outputs = self._call(tensors)
        return {
            spec.name: output.numpy() for spec, output in zip(self.signature.outputs, outputs, strict=True)
        }


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
