"""Bytes on their way to a file: hashed while they are written, in place only when they are whole."""

from __future__ import annotations

import errno
import hashlib
import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from shutil import disk_usage
from typing import TYPE_CHECKING, BinaryIO, cast

from ml_containerize.console import Advance, human_size
from ml_containerize.errors import BuildError
from ml_containerize.names import Digest
from ml_containerize.oci.descriptor import Descriptor

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

CHUNK = 1 << 20
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class DiskFull(BuildError):
    """A folder has no room for what is written into it."""

    def __init__(self, folder: Path, needed: int) -> None:
        free = human_size(disk_usage(folder).free)
        super().__init__(
            f"No space left in {folder}: {human_size(needed)} are needed, {free} are free",
            "Free some space, or choose a folder on a larger disk.",
        )


@contextmanager
def room(folder: Path, needed: int) -> Iterator[None]:
    """Raise DiskFull where writing about `needed` bytes into the folder fails for want of space."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise DiskFull(folder, needed) from error


class CorruptBlob(BuildError):
    """Content does not have the digest or the size by which it was asked for."""

    def __init__(self, where: object, wanted: Descriptor, found: Digest, size: int) -> None:
        super().__init__(
            f"{where} should hold {wanted.digest} ({wanted.size} bytes), but holds {found} ({size} bytes)",
            "Delete it and run again; if it comes back, suspect the disk or the network's proxy.",
        )


class MissingBlob(BuildError):
    """Content that a manifest names is nowhere to be found."""

    def __init__(self, digest: Digest, where: object) -> None:
        super().__init__(f"{where} does not hold {digest}", "Build or pull the image again.")


class BlobWriter:
    """An unfinished blob: `write` chunks, then `commit` once; without it nothing stays.

    Hashing on a second thread gains nothing: the chunk would have to move to that core's cache first.
    """

    def __init__(
        self, file: BinaryIO, place: Callable[[Digest], None], folder: Path, wanted: Descriptor | None = None
    ) -> None:
        self._file = file
        self._place = place
        self._folder = folder
        self._wanted = wanted
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, chunk: bytes | memoryview) -> None:
        """Append a chunk, which may be reused on return; raises DiskFull, CorruptBlob if it is too much."""
        self._hash.update(chunk)
        self.size += len(chunk)
        if self._wanted and self.size > self._wanted.size:
            self._compare(self._wanted)
        with self._room():
            self._file.write(chunk)

    def commit(self, media_type: str, annotations: Mapping[str, str] | None = None) -> Descriptor:
        """Put the blob in its place under its digest; raises DiskFull, CorruptBlob if it is another."""
        with self._room():
            self._file.close()
        if self._wanted:
            self._compare(self._wanted)
        made = Descriptor(media_type, Digest(self._hash.hexdigest()), self.size, annotations or {})
        self._place(made.digest)
        return made

    def close(self) -> None:
        """Let go of the file; safe to call twice."""
        with self._room():
            self._file.close()

    def _compare(self, wanted: Descriptor) -> None:
        _compare(wanted, Digest(self._hash.hexdigest()), self.size, "What was received")

    def _room(self) -> AbstractContextManager[None]:
        return room(self._folder, self._wanted.size if self._wanted else self.size)


def copy(source: BinaryIO, use: Callable[[memoryview], object], advance: Advance) -> None:
    """Hand a stream on in chunks of at most 1 MiB, through one buffer."""
    buffer = bytearray(CHUNK)
    view = memoryview(buffer)
    while count := source.readinto(buffer):  # type: ignore[attr-defined]  # every binary stream has it
        use(view[:count])
        advance(count)


class VerifiedStream(io.RawIOBase):
    """A stream that raises CorruptBlob, at its end or before, where it is not what was wanted."""

    def __init__(self, stream: BinaryIO, wanted: Descriptor, where: object) -> None:
        self._stream = stream
        self._wanted = wanted
        self._where = where
        self._hash = hashlib.sha256()
        self._size = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        count: int = self._stream.readinto(view)  # type: ignore[attr-defined]  # every binary stream has it
        self._hash.update(view[:count])
        self._size += count
        if (not count and len(view)) or self._size > self._wanted.size:
            _compare(self._wanted, Digest(self._hash.hexdigest()), self._size, self._where)
        return count

    def close(self) -> None:
        self._stream.close()
        super().close()


def _compare(wanted: Descriptor, digest: Digest, size: int, where: object) -> None:
    if (digest, size) != (wanted.digest, wanted.size):
        raise CorruptBlob(where, wanted, digest, size)


def verify(source: BinaryIO, wanted: Descriptor, where: object, advance: Advance) -> None:
    """Read a stream to its end; raises CorruptBlob where it is not what the descriptor says."""
    copy(cast("BinaryIO", VerifiedStream(source, wanted, where)), lambda _: None, advance)
