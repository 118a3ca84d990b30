"""The warm-up requests of a SavedModel, read without TensorFlow Serving's own package.

Each record of a TFRecord file is a PredictionLog. Of its message types only the few fields that make a
request are read here, from the wire format of https://protobuf.dev/programming-guides/encoding/. The fields'
numbers are those of `prediction_log.proto`, `predict.proto` and `model.proto` in
https://github.com/tensorflow/serving/tree/master/tensorflow_serving/apis.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from tensorflow.core.framework.tensor_pb2 import TensorProto

from serving.errors import ModelUnusable
from serving.tensors import Tensor

MOST = 1000  # as TensorFlow Serving has it

_LOG_PREDICT = 6
_PREDICT_REQUEST = 1
_REQUEST_MODEL, _REQUEST_INPUTS = 1, 2
_MODEL_SIGNATURE = 3
_KEY, _VALUE = 1, 2

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True, slots=True)
class WarmupRequest:
    """One call: `signature` "" is the default."""

    signature: str
    inputs: Mapping[str, Tensor]


def read_requests(file: Path) -> Iterator[WarmupRequest]:
    """Each record's request, at most MOST; raises ModelUnusable with the number of a bad one, from 0."""
    number = 0
    try:
        for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
            if number == MOST:
                raise ModelUnusable(f"{file.name} has more than {MOST} records")
            yield _request(record)
            number += 1
    except tf.errors.DataLossError as error:
        raise ModelUnusable(f"{file.name}, record {number}: is cut off or has a wrong checksum") from error
    except (ValueError, TypeError, DecodeError) as error:
        raise ModelUnusable(f"{file.name}, record {number}: {error}") from error


def _request(record: bytes) -> WarmupRequest:
    for log in _messages(record, _LOG_PREDICT):
        for request in _messages(log, _PREDICT_REQUEST):
            inputs = dict(_inputs(request))
            if not inputs:
                raise ValueError("has no inputs")
            return WarmupRequest(_signature(request), inputs)
    raise ValueError("is no predict request; classify, regress and session requests cannot be made here")


def _signature(request: bytes) -> str:
    names = [
        name for model in _messages(request, _REQUEST_MODEL) for name in _messages(model, _MODEL_SIGNATURE)
    ]
    return names[-1].decode() if names else ""


def _inputs(request: bytes) -> Iterator[tuple[str, Tensor]]:
    for entry in _messages(request, _REQUEST_INPUTS):
        (name,), (value,) = _messages(entry, _KEY), _messages(entry, _VALUE)
        tensor = TensorProto.FromString(value)
        yield name.decode(), tf.make_ndarray(tensor)


def _messages(message: bytes, wanted: int) -> list[bytes]:
    """The values of one field of type message, string or bytes."""
    return [value for number, value in _fields(message) if number == wanted]


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and bytes of each field; those of a number's wire type are empty. Raises ValueError."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind, size = tag & 7, 0
        if kind == _VARINT:
            _, at = _varint(message, at)
        elif kind == _BYTES:
            size, at = _varint(message, at)
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"has the unknown wire type {kind}")
        if at + size > len(message):
            raise ValueError("ends in the middle of a field")
        yield tag >> 3, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """The number that begins at `at`, at most ten bytes of seven bits, and where the next begins."""
    number = 0
    for shift, byte in zip(range(0, 70, 7), message[at : at + 10], strict=False):
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at + shift // 7 + 1
    raise ValueError("ends in the middle of a number")
