"""Model files as small as they can be while they still are what they claim."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

KERAS_PARTS = ("metadata.json", "config.json", "model.weights.h5")
LFS_POINTER = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n"
    b"size 12345\n"
)


def keras_bytes(parts: tuple[str, ...] = KERAS_PARTS, content: str = "{}") -> bytes:
    """A .keras archive with the named members."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in parts:
            archive.writestr(zipfile.ZipInfo(name), content)
    return packed.getvalue()


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
