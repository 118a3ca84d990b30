"""Tensors as raw bytes: the binary tensor data extension of the Open Inference Protocol.

https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md

Bytes are little-endian and row-major, as is the memory of the machines that this server runs on: a tensor is
read where it lies in the request's body, without a copy.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from serving.errors import BadRequest
from serving.tensors import Tensor, objects

BYTES = "BYTES"
BFLOAT16 = "BF16"
DATATYPES = {  # the protocol's names of NumPy's types
    "BOOL": "bool",
    **{f"{sign}INT{bits}": f"{sign}int{bits}".lower() for sign in ("", "U") for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": f"float{bits}" for bits in (16, 32, 64)},
}
WIDENED = frozenset(  # (from, to) where no value changes; NumPy also lets 64-bit integers become floats
    (small, large)
    for small, name in DATATYPES.items()
    for large, wider in DATATYPES.items()
    if np.can_cast(name, wider) and "BOOL" not in (small, large)
    if not (small.endswith("INT64") and large.startswith("FP"))
)
_NAMES = {name: datatype for datatype, name in DATATYPES.items()} | {"bfloat16": BFLOAT16}
_BY_DTYPE = {np.dtype(name): datatype for datatype, name in DATATYPES.items()}
_LENGTH = struct.Struct("<I")


def datatype(dtype: str) -> str:
    """The protocol's name of a TensorSpec's type; strings and JSON values are BYTES."""
    return _NAMES.get(dtype, BYTES)


def datatype_of(array: Tensor) -> str:
    """The protocol's name of an array's type; NumPy is slow to tell a type's own name."""
    return _BY_DTYPE.get(array.dtype) or datatype(array.dtype.name)


@dataclass(slots=True)
class Cursor:
    """How far the binary part of a body has been read."""

    body: bytes
    offset: int

    def take(self, size: int, field: str) -> int:
        """Where the next `size` bytes begin; BadRequest where there are fewer."""
        start = self.offset
        left = len(self.body) - start
        if size > left:
            raise BadRequest(f"is {size}, but {left} bytes are left in the body", field)
        self.offset += size
        return start


def read(cursor: Cursor, name: str, shape: tuple[int, ...], size: int, field: str) -> Tensor:
    """The next `size` bytes as a tensor of the datatype `name`; BadRequest names `field` if they do not fit.

    BF16 becomes float32, BYTES an array of bytes; all others stay where they are, and cannot be written to.
    """
    number = math.prod(shape)
    if name == BYTES:
        if size < number * _LENGTH.size:
            raise BadRequest(f"is {size}, too few for {number} elements with their lengths", field)
        start = cursor.take(size, field)
        return objects(list(_elements(cursor.body, start, start + size, number, field))).reshape(shape)
    dtype = np.dtype(np.uint16 if name == BFLOAT16 else DATATYPES[name])
    if size != number * dtype.itemsize:
        raise BadRequest(f"is {size}, but {number} elements of {name} have {number * dtype.itemsize}", field)
    start = cursor.take(size, field)
    if name == "BOOL":
        return _booleans(np.frombuffer(cursor.body, np.uint8, number, start), field).reshape(shape)
    array = np.frombuffer(cursor.body, dtype, number, start).reshape(shape)
    return (array.astype(np.uint32) << 16).view(np.float32) if name == BFLOAT16 else array


def _booleans(array: Tensor, field: str) -> Tensor:
    if array.max() > 1:
        raise BadRequest(f"element {int(array.argmax())} is {array.max()}, a BOOL is 0 or 1", field)
    return array.view(bool)


def _elements(body: bytes, start: int, end: int, number: int, field: str) -> Iterator[bytes]:
    """Each element behind its length in 4 bytes."""
    for index in range(number):
        if end - start < _LENGTH.size:
            raise BadRequest(f"element {index} lacks its length", field)
        (length,) = _LENGTH.unpack_from(body, start)
        start += _LENGTH.size
        if length > end - start:
            raise BadRequest(f"element {index} has {length} bytes, but {end - start} are left", field)
        yield body[start : start + length]
        start += length
    if start != end:
        raise BadRequest(f"{end - start} bytes are left behind element {number - 1}", field)


def raw(array: Tensor) -> bytes | memoryview:
    """The bytes of an output, without a copy where they lie in one block; the elements of BYTES are bytes."""
    if array.dtype.kind == "O":
        return b"".join(_LENGTH.pack(len(value)) + value for value in array.reshape(-1).tolist())
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
