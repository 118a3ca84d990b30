"""Compressed layers as plain streams: memory stays flat whatever a stream expands to."""

from __future__ import annotations

import io
import zlib
from typing import TYPE_CHECKING, BinaryIO, cast

from ml_containerize.oci import media
from ml_containerize.oci.blobs import CHUNK
from ml_containerize.oci.document import MalformedContent

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_GZIP_ONLY = 16 + zlib.MAX_WBITS


class CorruptLayer(MalformedContent):
    """A layer's compressed stream or tar archive is broken."""

    def __init__(self, why: str) -> None:
        super().__init__(f"A layer cannot be read: {why}")


class UnknownLayer(MalformedContent):
    """A layer has a media type that cannot be read."""

    def __init__(self, media_type: str) -> None:
        super().__init__(f"A layer is of the unknown type {media_type}", "Choose another base image.")


def open_layer(stream: BinaryIO, media_type: str) -> io.BufferedReader:
    """The plain tar archive behind a layer's blob; raises UnknownLayer, and CorruptLayer while it is read."""
    match media.compression_of(media_type):
        case "none":
            return io.BufferedReader(cast("io.RawIOBase", stream), CHUNK)
        case "gzip":
            return io.BufferedReader(_Gunzip(stream), CHUNK)
        case "zstd":
            return io.BufferedReader(_Unzstd(stream), CHUNK)
        case None:
            raise UnknownLayer(media_type)


class _Gunzip(io.RawIOBase):
    """A gzip file of one or more members (RFC 1952)."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._member = zlib.decompressobj(_GZIP_ONLY)
        self._input = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        while True:
            self._input = self._input or self._stream.read(CHUNK)
            if self._member.eof:
                if not self._input:
                    return 0
                self._member = zlib.decompressobj(_GZIP_ONLY)
            if count := self._inflate(memoryview(buffer)):
                return count

    def _inflate(self, buffer: memoryview) -> int:
        at_end = not self._input
        try:
            plain = self._member.decompress(self._input, len(buffer))
        except zlib.error as error:
            raise CorruptLayer(str(error)) from error
        if at_end and not plain and not self._member.eof:
            raise CorruptLayer("its gzip stream ends too early")
        self._input = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
        buffer[: len(plain)] = plain
        return len(plain)


class _Unzstd(io.RawIOBase):
    """A Zstandard file of one or more frames (RFC 8878)."""

    def __init__(self, stream: BinaryIO) -> None:
        import zstandard

        self._error = zstandard.ZstdError
        self._frames = zstandard.ZstdDecompressor().stream_reader(
            stream, read_size=CHUNK, read_across_frames=True, closefd=False
        )

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        try:
            return int(self._frames.readinto(buffer))
        except self._error as error:
            raise CorruptLayer(str(error)) from error
