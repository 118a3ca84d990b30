"""Unpacking layers into a folder, so that nothing in a layer reaches outside of it.

Who writes a layer chooses every name and link in it. Names are therefore resolved as a container would see
them, with the folder as the root (`rooted`), and nothing is ever written through a link: what is in an
entry's way is deleted first.

Files belong to the user who unpacks. Set-user-ID bits are dropped, devices and pipes skipped. Owners may
always read files and write into folders: otherwise a normal user could not delete what was unpacked.
"""

# ruff: noqa: PTH101, PTH102, PTH208, PTH211 (paths are strings, as in `rooted`)

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

from ml_containerize.oci.archive import TarEntry, TarReader
from ml_containerize.oci.blobs import room
from ml_containerize.oci.decompress import CorruptLayer, open_layer
from ml_containerize.oci.rooted import HostilePath, Root

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_RESERVED = ".wh..wh."  # AUFS's own bookkeeping, which engines pass over
_PERMISSIONS = 0o1777
_LATEST = 1 << 33  # seconds; later times overflow some file systems
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What was done; paths are relative to the folder. Whiteouts have been applied to the folder, too."""

    files: int
    size: int  # bytes of all files
    whiteouts: tuple[str, ...]  # paths that the layer deletes from the layers below
    opaque: tuple[str, ...]  # folders whose content in the layers below it hides
    skipped: tuple[str, ...]  # devices and pipes


def unpack(stream: BinaryIO, media_type: str, into: Path) -> Unpacked:
    """Unpack one layer on top of what the folder holds, reading the stream to its end.

    Follows the OCI image specification, "Image Layer Filesystem Changeset". Raises HostilePath, CorruptLayer,
    UnknownLayer, DiskFull and the stream's own errors; the folder is then to be thrown away.
    """
    reader = TarReader(open_layer(stream, media_type))
    work = _Unpacking(into, reader)
    for entry in reader:
        with _blamed(entry, into):
            work.apply(entry)
    return work.done()


@contextmanager
def _blamed(entry: TarEntry, into: Path) -> Iterator[None]:
    """Say of a failed system call which entry it was for."""
    try:
        with room(into, entry.size):
            yield
    except OSError as error:
        if error.errno not in {errno.ENAMETOOLONG, errno.ENOENT, errno.EINVAL, errno.EPERM, errno.EILSEQ}:
            raise
        raise CorruptLayer(f"{entry.name!r} cannot be made: {error.strerror}") from error


class _Unpacking:
    def __init__(self, into: Path, reader: TarReader) -> None:
        self._root = Root(into)
        self._reader = reader
        self._made = {""}  # a layer's whiteouts are about the layers below, not about itself
        self._whiteouts: list[str] = []
        self._opaque: list[str] = []
        self._skipped: list[str] = []
        self._files = self._size = 0

    def apply(self, entry: TarEntry) -> None:
        path = self._root.place(entry.name)
        relative = self._root.relative(path)
        if not relative:  # the root itself, whose mode is its owner's business
            return
        name = path.rpartition("/")[2]
        if name.startswith(_WHITEOUT):
            self._white_out(entry, path, name)
        elif entry.kind == "special":
            self._skipped.append(relative)
        else:
            self._make(entry, path)
            self._note(path)

    def done(self) -> Unpacked:
        return Unpacked(
            self._files, self._size, tuple(self._whiteouts), tuple(self._opaque), tuple(self._skipped)
        )

    def _make(self, entry: TarEntry, path: str) -> None:
        if entry.kind == "directory":
            self._make_folder(path, entry.mode)
        elif entry.kind == "symlink":
            self._instead(path, lambda: os.symlink(entry.target, path))
        elif entry.kind == "hardlink":
            self._make_hard_link(entry, path)
        else:
            self._make_file(entry, path)

    def _make_folder(self, path: str, mode: int) -> None:
        try:
            os.mkdir(path)
        except FileExistsError:
            if not stat.S_ISDIR(os.lstat(path).st_mode):
                self._root.remove(path)
                os.mkdir(path)
        os.chmod(path, mode & _PERMISSIONS | 0o700)

    def _make_hard_link(self, entry: TarEntry, path: str) -> None:
        target = self._root.place(entry.target)
        if target == path or not self._root.relative(target):
            raise CorruptLayer(f"{entry.name!r} is a hard link to itself")
        self._instead(path, lambda: os.link(target, path, follow_symlinks=False))

    def _make_file(self, entry: TarEntry, path: str) -> None:
        handle = self._instead(path, lambda: os.open(path, _CREATE, 0o600))
        with os.fdopen(handle, "wb") as file:
            self._reader.copy(file.write)
            file.flush()
            os.fchmod(handle, entry.mode & _PERMISSIONS | 0o400)
            mtime = min(entry.mtime, _LATEST)
            os.utime(handle, (mtime, mtime))
        self._files += 1
        self._size += entry.size

    def _instead(self, path: str, make: Callable[[], _T]) -> _T:
        """Make something at a path, deleting what is in its way."""
        try:
            return make()
        except FileExistsError:
            self._root.remove(path)
            return make()

    def _white_out(self, entry: TarEntry, path: str, name: str) -> None:
        folder = path.rpartition("/")[0]
        if name == _OPAQUE:
            self._opaque.append(self._root.relative(folder))
            self._empty(folder)
        elif not name.startswith(_RESERVED):
            hidden = name.removeprefix(_WHITEOUT)
            if hidden in {"", ".", ".."}:
                raise HostilePath(entry.name, "it would delete its own folder")
            self._whiteouts.append(self._root.relative(f"{folder}/{hidden}"))
            self._hide(f"{folder}/{hidden}")

    def _hide(self, path: str) -> None:
        """Delete what the layers below put at a path; where this layer has put something there, it stays."""
        if path not in self._made:
            self._root.remove(path)
        elif Path(path).is_dir() and not Path(path).is_symlink():
            self._empty(path)

    def _empty(self, folder: str) -> None:
        for name in os.listdir(folder):
            self._hide(f"{folder}/{name}")

    def _note(self, path: str) -> None:
        """Remember a path that this layer made, and the folders that it is in."""
        while path not in self._made:
            self._made.add(path)
            path = path.rpartition("/")[0]
