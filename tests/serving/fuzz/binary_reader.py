"""Coverage-guided fuzzing of the binary tensor reader: any exception but a refusal ends it as a crash.

python -m tests.serving.fuzz.binary_reader -runs=10000 [CORPUS], with the options of libFuzzer:
https://llvm.org/docs/LibFuzzer.html#options
"""

from __future__ import annotations

import math
import struct
import sys
from collections.abc import Sequence
from typing import Any

import atheris

with atheris.instrument_imports(include=["serving.doors", "serving.inputs", "serving.tensors"]):
    import numpy as np
    import orjson

    from serving.doors import binary, v2
    from serving.signature import TensorSpec
    from tests.serving.fuzz.cases import MODELS, check

NAMES = [*binary.DATATYPES, binary.BYTES, binary.BFLOAT16, "FP8"]
SIZES = [0, 1, 2, 3, 100, 101, 2**16, 2**31, 2**32, 2**62, 2**63, 2**64 - 1, -1]
ENOUGH = 500  # answered cases, after which one line says so

answered = 0


def reads(data: bytes) -> None:
    """The fuzzer's bytes become a request: as they are, or honest but for the lies that they decide on."""
    global answered
    provider = atheris.FuzzedDataProvider(data)
    served = pick(provider, MODELS)
    if provider.ConsumeIntInRange(0, 3) == 3:
        head, tail = b"", provider.ConsumeBytes(4096)
        length = provider.ConsumeIntInRange(-1, 4096)
    else:
        specs = served.model.signatures["serving_default"].inputs
        tensors = [tensor(provider, spec) for spec in (specs[:1] if lies(provider) else specs)]
        head = orjson.dumps(
            {
                "inputs": [described for described, _ in tensors],
                "parameters": {"binary_data_output": provider.ConsumeBool()},
            }
        )
        tail = b"".join(raw for _, raw in tensors) + (provider.ConsumeBytes(8) if lies(provider) else b"")
        length = len(head) + (provider.ConsumeIntInRange(-2, 2) if lies(provider) else 0)
    answered += check(v2.infer, served, head + tail, {v2.HEADER_LENGTH: str(length)}, finite=False)
    if answered == ENOUGH:
        print(f"{answered} cases were answered", flush=True)  # noqa: T201 - to the test that started this


def tensor(provider: Any, spec: TensorSpec) -> tuple[dict[str, object], bytes]:
    """An input as the request describes it, and its bytes."""
    shape = [2 if size is None else size for size in spec.shape or (None, None)]
    datatype = binary.datatype(spec.dtype)
    raw = elements(provider, datatype, math.prod(shape))
    if lies(provider):
        datatype = pick(provider, NAMES)
    if lies(provider):
        shape = [pick(provider, SIZES) for _ in range(provider.ConsumeIntInRange(0, 4))]
    size = len(raw)
    if lies(provider):
        size = pick(provider, [size - 1, size + 1, *SIZES])
    if lies(provider):
        raw = raw[: provider.ConsumeIntInRange(0, len(raw))]
    parameters = {"binary_data_size": size}
    return {"name": spec.name, "shape": shape, "datatype": datatype, "parameters": parameters}, raw


def elements(provider: Any, datatype: str, number: int) -> bytes:
    if datatype == binary.BYTES:
        return b"".join(element(provider) for _ in range(number))
    itemsize = 2 if datatype == binary.BFLOAT16 else np.dtype(binary.DATATYPES[datatype]).itemsize
    raw: bytes = provider.ConsumeBytes(number * itemsize)
    if datatype == "BOOL" and not lies(provider):
        raw = bytes(byte % 2 for byte in raw)
    return raw.ljust(number * itemsize, b"\0")


def element(provider: Any) -> bytes:
    value = provider.ConsumeBytes(provider.ConsumeIntInRange(0, 8)) if lies(provider) else b'{"a":1}'
    length = provider.ConsumeIntInRange(0, 2**32 - 1) if lies(provider) else len(value)
    return struct.pack("<I", length) + value


def lies(provider: Any) -> bool:
    """One time in four."""
    return bool(provider.ConsumeIntInRange(0, 3) == 3)


def pick(provider: Any, values: Sequence[Any]) -> Any:
    return values[provider.ConsumeIntInRange(0, len(values) - 1)]


if __name__ == "__main__":
    atheris.Setup(sys.argv, reads)
    atheris.Fuzz()
