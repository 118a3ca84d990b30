"""Model files that are known by how they begin and end: XGBoost, LightGBM, pickles, HDF5."""

from __future__ import annotations

import mmap
import re
import struct
from pathlib import Path
from typing import BinaryIO

from ml_containerize.plan.model.unusable import CorruptModel, UnknownFormat

HEAD = 1024  # bytes

_HDF5 = b"\x89HDF\r\n\x1a\n"
_XGBOOST_JSON = re.compile(rb'\s*\{\s*"learner"\s*:')
_XGBOOST_BINARY = b"{L" + struct.pack(">q", len("learner")) + b"learner"  # https://ubjson.org
_LIGHTGBM = re.compile(rb"tree\r?\n")
_LIGHTGBM_END = b"end of trees"  # src/boosting/gbdt_model_text.cpp
_PICKLE = b"\x80"  # the opcode PROTO, of protocol 2 and later
_PICKLE_END = b"."


def is_xgboost_json(head: bytes) -> bool:
    """XGBoost's own JSON has `learner` first: https://xgboost.readthedocs.io/en/stable/tutorials/saving_model.html."""
    return _XGBOOST_JSON.match(head) is not None


def is_lightgbm(head: bytes) -> bool:
    return _LIGHTGBM.match(head) is not None


def check_xgboost_json(path: Path, stream: BinaryIO) -> None:
    """Raises UnknownFormat for other JSON, and CorruptModel for a file that was cut off."""
    if not is_xgboost_json(stream.read(HEAD)):
        raise UnknownFormat(path, "it is JSON, and not XGBoost's: that begins with the key learner")
    _refuse_other_end(path, stream, b"}")


def check_xgboost_binary(path: Path, stream: BinaryIO) -> None:
    if not stream.read(HEAD).startswith(_XGBOOST_BINARY):
        raise CorruptModel(path, "it does not begin as XGBoost's UBJSON does")
    _refuse_other_end(path, stream, b"}")


def check_lightgbm(path: Path, stream: BinaryIO) -> None:
    """Raises UnknownFormat for other texts, and CorruptModel for a file that was cut off."""
    if not is_lightgbm(stream.read(HEAD)):
        raise UnknownFormat(path, "it is a text, and not LightGBM's: that begins with the line tree")
    with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content.find(_LIGHTGBM_END) < 0:
            raise CorruptModel(path, "its trees have no end; it was cut off")


def check_pickle(path: Path, stream: BinaryIO) -> None:
    """Raises CorruptModel where an uncompressed pickle does not end as pickles do."""
    head = stream.read(HEAD)
    if not head:
        raise CorruptModel(path, "it is empty")
    if head.startswith(_PICKLE):
        _refuse_other_end(path, stream, _PICKLE_END)


def check_hdf5(path: Path, stream: BinaryIO) -> None:
    """HDF5 file format specification 3.0, II.A: the superblock knows where the file ends."""
    head, size = stream.read(HEAD), stream.seek(0, 2)
    if not head.startswith(_HDF5):
        raise CorruptModel(path, "it does not begin as an HDF5 file does")
    end = _hdf5_end(head.ljust(HEAD, b"\0"))
    if size < end:
        raise CorruptModel(path, f"it should have {end} bytes but has {size}; it was cut off")


def _hdf5_end(head: bytes) -> int:
    """The end-of-file address; the addresses begin after a header whose size the version tells."""
    version, width = head[8], head[13] if head[8] < 2 else head[9]
    addresses = {0: 24, 1: 28}.get(version, 12)
    if width != 8:  # every writer of models uses 8 bytes an address
        return 0
    return int(struct.unpack_from("<Q", head, addresses + 2 * width)[0])


def _refuse_other_end(path: Path, stream: BinaryIO, end: bytes) -> None:
    stream.seek(max(0, stream.seek(0, 2) - HEAD))
    if not stream.read().rstrip().endswith(end):
        raise CorruptModel(path, "it was cut off, or something stands behind its end")
