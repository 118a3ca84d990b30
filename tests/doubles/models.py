"""Model files as small as they can be while they still are what they claim."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

KERAS_PARTS = ("metadata.json", "config.json", "model.weights.h5")
LFS_POINTER = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n"
    b"size 12345\n"
)


def zip_bytes(members: Mapping[str, bytes | str]) -> bytes:
    """A zip archive, the same whenever it is made."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return packed.getvalue()


def keras_bytes(parts: tuple[str, ...] = KERAS_PARTS, content: str = "{}") -> bytes:
    """A .keras archive with the named members."""
    return zip_bytes(dict.fromkeys(parts, content))


def hdf5_bytes(version: int = 0, size: int = 2048) -> bytes:
    """A superblock that says where the file ends, and zeros up to there."""
    if version < 2:
        head = bytes((version, 0, 0, 0, 0, 8, 8, 0)) + bytes(8 + 4 * version)
    else:
        head = bytes((version, 8, 8, 0))
    addresses = struct.pack("<QQQ", 0, 2**64 - 1, size)
    return (b"\x89HDF\r\n\x1a\n" + head + addresses).ljust(size, b"\0")


def write_saved_model(folder: Path) -> Path:
    """The files by which a SavedModel is known."""
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "variables" / "variables.index").write_bytes(b"index")
    return folder


def field(number: int, value: int | bytes | str) -> bytes:
    """One field in Protocol Buffers' wire format."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    content = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    groups = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])


def onnx_bytes(*weights: str, graph: bytes = b"", functions: bytes = b"") -> bytes:
    """A ModelProto; `weights` are files beside it, with one tensor in each."""
    external = (field(1, "location") + field(2, place) for place in weights)
    tensors = b"".join(field(5, field(8, "w") + field(13, entry) + field(14, 1)) for entry in external)
    return field(1, 10) + field(7, tensors + graph) + field(8, field(2, 21)) + functions


def node(operator: str, domain: str = "", *, attributes: bytes = b"") -> bytes:
    """A graph's node, as a field of the graph."""
    return field(1, field(4, operator) + field(7, domain) + attributes)


SKOPS = zip_bytes({"schema.json": '{"__class__": "Pipeline", "__module__": "sklearn.pipeline"}'})
TORCHSCRIPT = zip_bytes(
    {"m/data.pkl": b"\x80\2).", "m/code/__torch__.py": "torch.relu(x)", "m/constants.pkl": b"\x80\2)."}
)
STATE_DICT = zip_bytes({"m/data.pkl": b"\x80\2).", "m/data/0": b"\0\0"})
EXPORTED = '{"nodes": [{"target": "torch.ops.aten.relu.default"}]}'
TORCH_EXPORT = zip_bytes({"m/models/model.json": EXPORTED, "m/archive_format": "pt2"})
PICKLE = b"\x80\4]."
XGBOOST_JSON = b'{"learner":{"attributes":{}},"version":[3,2,0]}'
XGBOOST_BINARY = (
    b"{L\0\0\0\0\0\0\0\7learner{}L\0\0\0\0\0\0\0\7version[#L\0\0\0\0\0\0\0\3i\3i\2i\0}"  # as XGBoost 3.2
)
LIGHTGBM = b"tree\nversion=v4\n\nTree=0\n\nend of trees\n"
