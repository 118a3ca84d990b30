"""Entries become tar bytes, in one pass over the files and through one buffer."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ml_containerize.console import Advance
from ml_containerize.errors import BuildError
from ml_containerize.oci import tarball
from ml_containerize.oci.blobs import CHUNK
from ml_containerize.oci.entries import Entry, UnreadableFile

_Write = Callable[[bytes | memoryview], object]


class FileChanged(BuildError):
    """A file changed while it was packed."""

    def __init__(self, source: Path | str) -> None:
        super().__init__(
            f"{source} changed while it was being packed",
            "Run again when nothing writes to it any more.",
        )


class RepeatedEntry(BuildError):
    """Two entries of one layer have the same path."""

    def __init__(self, path: str) -> None:
        super().__init__(f"Two files claim the path /{path} in one layer", "Rename one of them.")


def write_tar(entries: Iterable[Entry], write: _Write, advance: Advance) -> None:
    """Write sorted entries and the end of the archive; `write` may not keep what it is given.

    Raises FileChanged, UnreadableFile, BadEntryPath and RepeatedEntry.
    """
    tape = _Tape(write)
    previous = None
    for entry in entries:
        if entry.path == previous:
            raise RepeatedEntry(entry.path)
        previous = entry.path
        _write_entry(entry, tape, advance)
    tape.add(tarball.END)
    tape.flush()


def _write_entry(entry: Entry, tape: _Tape, advance: Advance) -> None:
    path = tarball.checked(entry.path)
    mode = 0o755 if entry.executable else 0o644
    if entry.source is not None:
        _write_file(path, mode, entry.source, tape, advance)
    elif entry.content is not None:
        size = len(entry.content)
        tape.add(tarball.header(path, tarball.FILE, mode=mode, size=size))
        tape.add(entry.content + tarball.padding(size))
        advance(size)
    elif entry.target is not None:
        tape.add(tarball.header(path, tarball.LINK, mode=0o777, target=entry.target))
    else:
        tape.add(tarball.header(f"{path}/", tarball.DIRECTORY, mode=0o755))


def _write_file(path: str, mode: int, source: Path | str, tape: _Tape, advance: Advance) -> None:
    with _opened(source) as handle:
        before = os.fstat(handle)
        if not stat.S_ISREG(before.st_mode):
            raise UnreadableFile(source, "it is not a regular file")
        size = before.st_size
        tape.add(tarball.header(path, tarball.FILE, mode=mode, size=size))
        copied = tape.add_file(handle, size, advance)
        after = os.fstat(handle)
        if copied != size or (after.st_size, after.st_mtime_ns) != (size, before.st_mtime_ns):
            raise FileChanged(source)
        tape.add(tarball.padding(size))


@contextmanager
def _opened(source: Path | str) -> Iterator[int]:
    try:
        handle = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe must not hold us up
    except OSError as error:
        raise UnreadableFile(source, error.strerror or str(error)) from error
    try:
        yield handle
    except OSError as error:
        if error.errno not in {errno.EIO, errno.EISDIR, errno.ESTALE}:
            raise
        raise UnreadableFile(source, error.strerror or str(error)) from error
    finally:
        os.close(handle)


class _Tape:
    """Tar bytes on their way out, small pieces gathered into chunks of about 1 MiB."""

    def __init__(self, write: _Write) -> None:
        self._write = write
        self._pieces: list[bytes] = []
        self._size = 0
        self._buffer = memoryview(bytearray(CHUNK))

    def add(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size >= CHUNK:
            self.flush()

    def add_file(self, handle: int, size: int, advance: Advance) -> int:
        """Copy at most `size` bytes of an open file; the count that was there."""
        if size < CHUNK:
            content = os.read(handle, size)
            self.add(content)
            advance(len(content))
            return len(content)
        self.flush()
        left = size
        while left and (count := os.readv(handle, [self._buffer[: min(left, CHUNK)]])):
            self._write(self._buffer[:count])
            advance(count)
            left -= count
        return size - left

    def flush(self) -> None:
        if self._pieces:
            self._write(b"".join(self._pieces))
            self._pieces.clear()
            self._size = 0
