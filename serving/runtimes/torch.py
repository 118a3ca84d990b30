"""PyTorch models in one file: TorchScript (`.pt`), and what `torch.export` writes (`.pt2`)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.export.passes import move_to_device_pass
from torch.utils import _pytree as pytree

from serving.errors import ModelUnusable
from serving.runtimes import DEFAULT_SIGNATURE
from serving.runtimes.threads import threads
from serving.signature import Signature, TensorSpec
from serving.tensors import Tensor

SIGNATURE_FILE = "signature.json"  # in TorchScript's archive, which has no shapes of its own

_INTEGERS = {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
_SENDABLE = {"bool", "bfloat16", "float16", "float32", "float64"} | _INTEGERS

Call = Callable[[Sequence[Any]], Any]


class TorchModel:
    """A function over tensors; gradients are off, and PyTorch computes with the server's threads."""

    def __init__(self, signature: Signature, call: Call, device: Any) -> None:
        self.signatures = {DEFAULT_SIGNATURE: signature}
        self.device = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
        self._signature = signature
        self._call = call
        self._on = device

    def predict(self, batch: Mapping[str, Tensor], signature: str = "") -> dict[str, Tensor]:  # noqa: ARG002
        with torch.inference_mode():
            tensors = [self._tensor(batch[spec.name], spec) for spec in self._signature.inputs]
            answer = self._call(tensors)
            return {name: _array(tensor) for name, tensor in self._named(answer).items()}

    def _tensor(self, array: Tensor, spec: TensorSpec) -> Any:
        """Memory is shared with the request where the model may write to it."""
        writeable = array if array.flags.writeable else array.copy()
        return torch.from_numpy(writeable).to(self._on, getattr(torch, spec.dtype))

    def _named(self, answer: Any) -> dict[str, Any]:
        names = [spec.name for spec in self._signature.outputs]
        if isinstance(answer, dict):
            return {name: answer[name] for name in names}
        tensors = [answer] if isinstance(answer, torch.Tensor) else answer
        return dict(zip(names, tensors, strict=True))


def load(path: Path) -> TorchModel:
    """Load onto the GPU where there is one, else onto the processor."""
    torch.set_num_threads(threads())
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return _exported(path, device) if path.suffix == ".pt2" else _script(path, device)


def _script(path: Path, device: Any) -> TorchModel:
    """The signature is that of signature.json, {"inputs": [{"name", "dtype", "shape"}], "outputs": [...]},
    which `torch.jit.save(..., _extra_files=...)` puts into the archive. Without it all tensors are taken for
    float32 of any shape, under the names in the code.
    """
    extra = {SIGNATURE_FILE: b""}
    module = torch.jit.load(str(path), map_location=device, _extra_files=extra)
    module.eval()
    written = extra[SIGNATURE_FILE]
    signature = _written(written) if written else _declared(module.forward.schema)
    return TorchModel(signature, lambda tensors: module(*tensors), device)


def _written(text: bytes) -> Signature:
    try:
        document = json.loads(text)
        inputs, outputs = (tuple(map(_written_spec, document[side])) for side in ("inputs", "outputs"))
    except (ValueError, TypeError, KeyError) as error:
        reason = f"its {SIGNATURE_FILE} does not say the inputs and outputs: {type(error).__name__} {error}"
        raise ModelUnusable(reason) from error
    if not inputs or not outputs:
        raise ModelUnusable(f"its {SIGNATURE_FILE} names no {'outputs' if inputs else 'inputs'}")
    return Signature(inputs, outputs)


def _written_spec(spec: Mapping[str, Any]) -> TensorSpec:
    name, dtype, shape = spec["name"], spec["dtype"], spec["shape"]
    if not isinstance(name, str) or dtype not in _SENDABLE:
        raise ValueError(f"{name!r} of the type {dtype!r}")
    if shape is not None and not (shape and all(size is None or size >= 1 for size in shape)):
        raise ValueError(f"{name!r} of the shape {shape!r}")
    return TensorSpec(name, dtype, None if shape is None else tuple(shape))


def _declared(schema: Any) -> Signature:
    """What the types in the code tell: how many tensors, and the names of those that come in."""
    arguments = [one for one in schema.arguments[1:] if not one.has_default_value()]  # the first is self
    wrong = [f"{one.name}: {one.type}" for one in arguments if str(one.type) != "Tensor"]
    returned = schema.returns[0].type
    parts = returned.elements() if returned.kind() == "TupleType" else [returned]
    if wrong or not arguments or any(str(part) != "Tensor" for part in parts):
        what = f"forward takes {', '.join(wrong)}" if wrong else f"forward is {schema}"
        raise ModelUnusable(f"{what}, and no {SIGNATURE_FILE} in the archive says what that means")
    return Signature(
        tuple(TensorSpec(one.name, "float32", None) for one in arguments),
        tuple(TensorSpec(name, "float32", None) for name in _output_names(parts)),
    )


def _exported(path: Path, device: Any) -> TorchModel:
    """Names, types and shapes are those of the example inputs; a dynamic dimension is free."""
    program = torch.export.load(path)
    inputs, outputs = _user_values(program)
    takes, gives = program.call_spec.in_spec, program.call_spec.out_spec
    names = _output_names(pytree.tree_unflatten(range(len(outputs)), gives))
    signature = Signature(
        tuple(_spec(name, value) for name, value in inputs),
        tuple(_spec(name, value) for name, (_, value) in zip(names, outputs, strict=True)),
    )
    if device.type == "cuda":
        program = move_to_device_pass(program, device)
    module = program.module()

    def call(tensors: Sequence[Any]) -> Any:
        arguments, keywords = pytree.tree_unflatten(tensors, takes)
        return pytree.tree_leaves(module(*arguments, **keywords))

    return TorchModel(signature, call, device)


def _user_values(program: Any) -> tuple[list[tuple[str, Any]], list[tuple[str, Any]]]:
    """Name and example of each value that the caller gives, and of each that he gets."""
    values = {node.name: node.meta.get("val") for node in program.graph.nodes}
    user = program.graph_signature
    inputs, outputs = (
        [(name, values.get(name)) for name in names] for names in (user.user_inputs, user.user_outputs)
    )
    if not inputs or not outputs:
        raise ModelUnusable("the program takes no inputs" if outputs else "the program gives no outputs")
    return inputs, outputs


def _output_names(structure: Any) -> list[str]:
    """A dictionary's keys, else output_0, output_1, …"""
    if isinstance(structure, dict) and len(pytree.tree_leaves(structure)) == len(structure):
        return [str(key) for key in structure]
    return [f"output_{at}" for at in range(len(pytree.tree_leaves(structure)))]


def _spec(name: str, value: Any) -> TensorSpec:
    if not isinstance(value, torch.Tensor):
        raise ModelUnusable(f"the program takes or gives {name!r}, and only tensors can be sent")
    dtype = str(value.dtype).removeprefix("torch.")
    if dtype not in _SENDABLE or not value.dim():
        raise ModelUnusable(
            f"{name!r} is a {dtype} of {value.dim()} dimensions, which cannot be sent in rows"
        )
    return TensorSpec(name, dtype, tuple(size if isinstance(size, int) else None for size in value.shape))


def _array(tensor: Any) -> Tensor:
    """NumPy has no bfloat16; it travels as float32."""
    plain = tensor.float() if tensor.dtype == torch.bfloat16 else tensor
    array: Tensor = np.asarray(plain.cpu())
    return array
