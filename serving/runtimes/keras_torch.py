"""Keras on PyTorch: the model's call without anything that training needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import torch

from serving.runtimes import DEFAULT_SIGNATURE
from serving.runtimes.keras_file import KerasModel
from serving.runtimes.keras_specs import signature_of
from serving.runtimes.threads import threads
from serving.signature import Signature
from serving.tensors import Tensor, numpy_dtype


def serve(loaded: KerasModel) -> TorchKerasModel:
    """Serve on the device where Keras put the weights: a GPU if there is one."""
    torch.set_num_threads(threads())
    return TorchKerasModel(signature_of(loaded), loaded)


class TorchKerasModel:
    """Calls the model in PyTorch's inference mode."""

    def __init__(self, signature: Signature, loaded: KerasModel) -> None:
        self.signatures = {DEFAULT_SIGNATURE: signature}
        self.device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
        self._loaded = loaded

    def predict(self, batch: Mapping[str, Tensor], signature: str = "") -> dict[str, Tensor]:
        wanted = self.signatures[signature or DEFAULT_SIGNATURE]
        with torch.inference_mode():
            tensors = [keras.ops.convert_to_tensor(batch[spec.name], spec.dtype) for spec in wanted.inputs]
            results = self._loaded.model(self._loaded.pack(tensors), training=False)
            outputs = zip(wanted.outputs, self._loaded.flatten(results), strict=True)
            return {spec.name: _array(result, spec.dtype) for spec, result in outputs}


def _array(result: Any, dtype: str) -> Tensor:
    """NumPy has no bfloat16, which travels as float32."""
    array: Tensor = keras.ops.convert_to_numpy(keras.ops.cast(result, numpy_dtype(dtype).name))
    return array
