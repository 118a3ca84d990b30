"""Files as joblib may have compressed them, read as a stream: zlib, gzip, bz2, lzma and xz."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BLOCK = 2**16  # bytes


@contextmanager
def decompressed(path: Path) -> Iterator[BinaryIO]:
    """The file's content, decompressed where it begins as a compressed one. Raises ValueError for LZ4."""
    with path.open("rb") as file:
        head = file.read(6)
        file.seek(0)
        yield _reader(file, head)


def _reader(file: BinaryIO, head: bytes) -> BinaryIO:
    if head.startswith(b"\x1f\x8b"):
        return cast("BinaryIO", gzip.GzipFile(fileobj=file))
    if head.startswith(b"BZh"):
        return cast("BinaryIO", bz2.BZ2File(file))
    if head.startswith((b"\xfd7zXZ", b"]\0")):
        return cast("BinaryIO", lzma.LZMAFile(file))
    if head.startswith(b"x") and int.from_bytes(head[:2]) % 31 == 0:  # RFC 1950, 2.2
        return io.BufferedReader(_Inflated(file))
    if head.startswith(b"\x04\x22\x4d\x18"):
        raise ValueError("it is compressed with LZ4, which is not read here; save it with zlib instead")
    return file


class _Inflated(io.RawIOBase):
    """A zlib stream, read piece by piece."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._inflate = file, zlib.decompressobj()
        self._waiting, self._position = b"", 0

    def tell(self) -> int:
        return self._position

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        content = b""
        while not content and not self._inflate.eof:
            self._waiting = self._waiting or self._file.read(_BLOCK)
            if not self._waiting:
                raise EOFError("the compressed data was cut off")
            content = self._inflate.decompress(self._waiting, len(view))
            self._waiting = self._inflate.unconsumed_tail
        view[: len(content)] = content
        self._position += len(content)
        return len(content)
