"""Deterministic layers: the same files give the same bytes on any machine.

Entries are sorted, owned by one fixed user, have one of two modes, and carry one fixed time, so that a layer
changes only with its files' names, content and executable bits. When an image was made is told by its
configuration's `created`, never by its layers.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ml_containerize.console import Advance
from ml_containerize.errors import BuildError
from ml_containerize.names import Digest
from ml_containerize.oci import media, tarball
from ml_containerize.oci.blobs import CHUNK, BlobWriter, Hasher
from ml_containerize.oci.descriptor import Descriptor
from ml_containerize.oci.layout import Layout
from ml_containerize.oci.tarball import LAYER_MTIME as LAYER_MTIME
from ml_containerize.oci.tarball import OWNER as OWNER
from ml_containerize.oci.tarball import BadEntryPath

ZSTD_LEVEL = 3
ZSTD_THREADS = 2

_Bytes = bytes  # `Entry.bytes` hides the type's name in its own class
_Write = Callable[[bytes | memoryview], object]


class FileChanged(BuildError):
    """A file changed while it was packed."""

    def __init__(self, source: Path) -> None:
        super().__init__(
            f"{source} changed while it was being packed",
            "Run again when nothing writes to it any more.",
        )


class UnreadableFile(BuildError):
    """A file to pack cannot be read, or is no file at all."""

    def __init__(self, source: Path, why: str) -> None:
        super().__init__(f"{source} cannot be packed: {why}", "Make it a readable, regular file.")


class RepeatedEntry(BuildError):
    """Two entries of one layer have the same path."""

    def __init__(self, path: str) -> None:
        super().__init__(f"Two files claim the path /{path} in one layer", "Rename one of them.")


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer as manifests (`descriptor`) and configurations (`diff_id`, `created_by`) speak of it."""

    descriptor: Descriptor
    diff_id: Digest
    created_by: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One path of a layer, relative and POSIX: a file from disk, a small file, a link or a folder."""

    path: str
    source: Path | None = None
    content: _Bytes | None = None
    target: str | None = None
    executable: bool = False

    @classmethod
    def file(cls, path: str, source: Path, executable: bool = False) -> Entry:
        return cls(path, source=source, executable=executable)

    @classmethod
    def bytes(cls, path: str, content: _Bytes, executable: bool = False) -> Entry:
        return cls(path, content=content, executable=executable)

    @classmethod
    def link(cls, path: str, target: str) -> Entry:
        return cls(path, target=target)

    @classmethod
    def directory(cls, path: str) -> Entry:
        return cls(path)


def folder_entries(folder: Path, path: str, keep: Callable[[str], bool] = lambda _: True) -> Iterator[Entry]:
    """Everything below a folder, as entries below `path`, the folder itself first.

    `keep` sees each path inside the image; what it refuses is left out, folders with all they hold.
    Links stay links. Raises UnreadableFile for sockets, devices and pipes.
    """
    yield Entry.directory(path)
    with os.scandir(folder) as found:
        for item in found:
            inside = f"{path}/{item.name}"
            if not keep(inside):
                continue
            if item.is_symlink():
                yield Entry.link(inside, os.readlink(item.path))  # noqa: PTH115 (Path would tidy the target)
            elif item.is_dir():
                yield from folder_entries(Path(item.path), inside, keep)
            else:
                yield Entry.file(inside, Path(item.path), bool(item.stat().st_mode & stat.S_IXUSR))


def write_layer(
    layout: Layout,
    entries: Iterable[Entry],
    *,
    compression: Literal["none", "zstd"],
    created_by: str,
    annotations: Mapping[str, str] | None = None,
    advance: Advance = lambda _: None,
) -> Layer:
    """Pack entries into one blob of the layout; `advance` counts the files' bytes.

    Raises FileChanged, UnreadableFile, BadEntryPath, RepeatedEntry and DiskFull; none leaves anything behind.
    """
    ordered = sorted(entries, key=lambda entry: entry.path)
    with layout.writer() as blob:
        if compression == "none":
            _write_tar(ordered, blob.write, advance)
            made = blob.commit(media.LAYER_TAR, annotations)
            return Layer(made, made.digest, created_by)
        diff_id = _write_zstd(ordered, blob, advance)
        return Layer(blob.commit(media.LAYER_ZSTD, annotations), diff_id, created_by)


def file_frame(path: str, size: int) -> tuple[bytes, bytes]:
    """The bytes before and after one regular file's content in an uncompressed layer of its own.

    Who hashes a file of `size` bytes between the two knows that layer's digest without writing it.
    """
    before = tarball.header(_checked(path), tarball.FILE, mode=0o644, size=size)
    return before, tarball.padding(size) + tarball.END


def _write_zstd(entries: Iterable[Entry], blob: BlobWriter, advance: Advance) -> Digest:
    import zstandard

    # With one worker or more, zstd cuts a stream into jobs of a fixed size: the output depends neither on the
    # number of workers nor on the chunks that it is fed (https://github.com/facebook/zstd/issues/2238).
    packer = zstandard.ZstdCompressor(level=ZSTD_LEVEL, threads=ZSTD_THREADS).compressobj()
    hasher = Hasher()
    try:
        _write_tar(
            entries,
            lambda chunk: hasher.along(chunk, lambda same: blob.write(packer.compress(same))),
            advance,
        )
        blob.write(packer.flush())
        return hasher.digest
    finally:
        hasher.close()


def _write_tar(entries: Iterable[Entry], write: _Write, advance: Advance) -> None:
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
    path = _checked(entry.path)
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


def _write_file(path: str, mode: int, source: Path, tape: _Tape, advance: Advance) -> None:
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
def _opened(source: Path) -> Iterator[int]:
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


def _checked(path: str) -> str:
    parts = path.split("/")
    if "" in parts or "." in parts or ".." in parts:
        raise BadEntryPath(path, "it must be relative, without empty, '.' or '..' parts")
    return path


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
