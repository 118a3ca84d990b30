"""Reading layers: the entries of a tar archive as they stream past, plain, gzip or zstd.

The standard library's `tarfile` reads them too, at ten times the cost per entry, and expands sparse files, so
that what is written is not bounded by what is read.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO, Literal

from ml_containerize.oci.blobs import CHUNK
from ml_containerize.oci.decompress import CorruptLayer, open_layer
from ml_containerize.oci.tarball import BLOCK

Kind = Literal["file", "hardlink", "symlink", "directory", "special"]

_FIELDS = struct.Struct("100s8s8s8s12s12s8s1s100s8s80s155s12s")  # POSIX.1-1988 ustar
_KINDS: dict[bytes, Kind] = {
    b"0": "file",
    b"\0": "file",
    b"7": "file",
    b"1": "hardlink",
    b"2": "symlink",
    b"5": "directory",
    b"3": "special",
    b"4": "special",
    b"6": "special",
}
_LARGEST_EXTENSION = 1 << 20  # as Go's archive/tar
_LARGEST_FILE = 1 << 62
_MOST_DIGITS = 20


@dataclass(frozen=True, slots=True)
class TarEntry:
    """One path of a layer as its header has it; `size` in bytes, `mtime` in seconds."""

    name: str
    kind: Kind
    target: str  # of a symbolic or hard link
    mode: int
    size: int
    mtime: int


def list_entries(stream: BinaryIO, media_type: str) -> Iterator[TarEntry]:
    """What a layer holds, without its files' content; raises CorruptLayer and UnknownLayer."""
    return iter(TarReader(open_layer(stream, media_type)))


class _Sparse(CorruptLayer):
    def __init__(self, name: str) -> None:
        super().__init__(f"{name!r} is a sparse file, which layers do not hold")


class TarReader:
    """The entries of a tar archive in order; the content of the present one can be taken with `copy`."""

    def __init__(self, archive: io.BufferedReader) -> None:
        self._archive = archive
        self._left = 0  # bytes of the present entry's content that were not read yet
        self._padding = 0
        self._seekable = archive.seekable()

    def __iter__(self) -> Iterator[TarEntry]:
        extensions: dict[str, str] = {}
        while block := self._next_block():
            entry, flag = _parse_header(block)
            if flag in {b"x", b"g", b"L", b"K"}:
                self._begin(entry.size)
                extensions |= self._read_extension(flag)
                continue
            entry = _extended(entry, extensions)
            extensions = {}
            self._begin(entry.size)
            yield entry
        while self._archive.read(CHUNK):  # to the end, where streams check their digest
            pass

    def copy(self, write: Callable[[bytes], object]) -> None:
        """Hand the present entry's content on in chunks of at most 1 MiB; raises CorruptLayer."""
        while self._left:
            chunk = self._archive.read(min(self._left, CHUNK))
            if not chunk:
                raise CorruptLayer("it ends in the middle of a file")
            self._left -= len(chunk)
            write(chunk)

    def _begin(self, size: int) -> None:
        if size > _LARGEST_FILE:
            raise CorruptLayer("a size is beyond all bounds")
        self._left, self._padding = size, -size % BLOCK

    def _next_block(self) -> bytes:
        """The next header, empty at the archive's end."""
        self._skip(self._left + self._padding)
        self._begin(0)
        block = self._archive.read(BLOCK)
        if len(block) not in {0, BLOCK}:
            raise CorruptLayer("it ends in the middle of a header")
        return block if block.strip(b"\0") else b""

    def _skip(self, count: int) -> None:
        if self._seekable and count > CHUNK:
            self._archive.seek(count - 1, io.SEEK_CUR)
            count = 1  # which is read, for one can seek beyond an end
        while count:
            read = len(self._archive.read(min(count, CHUNK)))
            if not read:
                raise CorruptLayer("it ends in the middle of a file")
            count -= read

    def _read_extension(self, flag: bytes) -> dict[str, str]:
        if self._left > _LARGEST_EXTENSION:
            raise CorruptLayer("an extended header is larger than 1 MiB")
        pieces: list[bytes] = []
        self.copy(pieces.append)
        body = b"".join(pieces)
        if flag == b"x":
            return _parse_records(body)
        if flag == b"g":  # says nothing about single files; engines pass over it, too
            return {}
        return {"path" if flag == b"L" else "linkpath": _text(body)}


def _parse_header(block: bytes) -> tuple[TarEntry, bytes]:
    name, mode, _, _, size, mtime, check, flag, link, magic, _, prefix, _ = _FIELDS.unpack(block)
    if _number(check) != sum(block) - sum(check) + 8 * 0x20:
        raise CorruptLayer("a header's checksum is wrong")
    path = _text(name)
    if flag == b"S":
        raise _Sparse(path)
    if magic.startswith(b"ustar\0") and prefix[0]:
        path = f"{_text(prefix)}/{path}"
    kind = _KINDS.get(flag, "special")
    if flag == b"\0" and path.endswith("/"):  # as before POSIX
        kind = "directory"
    has_content = kind == "file" or flag not in _KINDS
    length = _number(size) if has_content else 0
    return TarEntry(path, kind, _text(link), _number(mode) & 0o7777, length, _number(mtime)), flag


def _extended(entry: TarEntry, extensions: dict[str, str]) -> TarEntry:
    if not extensions:
        return entry
    if any(key.startswith("GNU.sparse") for key in extensions):
        raise _Sparse(entry.name)
    size = entry.size
    if "size" in extensions and entry.kind == "file":
        size = _decimal(extensions["size"])
    return replace(
        entry,
        name=extensions.get("path", entry.name),
        target=extensions.get("linkpath", entry.target),
        size=size,
    )


def _parse_records(body: bytes) -> dict[str, str]:
    """The records of a pax extended header, `<length> <key>=<value>\\n`."""
    records: dict[str, str] = {}
    position = 0
    while position < len(body):
        digits, space, _ = body[position : position + 12].partition(b" ")
        length = _decimal(digits.decode("ascii", "replace"))
        record = body[position + len(digits) + 1 : position + length]
        key, equals, value = record.partition(b"=")
        if not (space and equals and value.endswith(b"\n")):
            raise CorruptLayer("an extended header is malformed")
        records[key.decode("utf-8", "surrogateescape")] = value[:-1].decode("utf-8", "surrogateescape")
        position += length
    return records


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def _number(field: bytes) -> int:
    """Octal digits, or GNU's base-256 where the first bit is set."""
    if field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:])
    digits = field.strip(b" \0") or b"0"
    if digits.translate(None, b"01234567"):
        raise CorruptLayer("a header's number is malformed")
    return int(digits, 8)


def _decimal(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        raise CorruptLayer("an extended header's number is malformed")
    return int(text)
