"""What goes into a layer: one entry per path, gathered one by one or from a whole folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ml_containerize.errors import BuildError

_Bytes = bytes  # `Entry.bytes` hides the type's name in its own class


class UnreadableFile(BuildError):
    """A file to pack cannot be read, or is no file at all."""

    def __init__(self, source: Path | str, why: str, fix: str = "Make it a readable, regular file.") -> None:
        super().__init__(f"{source} cannot be packed: {why}", fix)


@dataclass(frozen=True, slots=True)
class Entry:
    """One path of a layer, relative and POSIX: a file from disk, a small file, a link or a folder."""

    path: str
    source: Path | str | None = None
    content: _Bytes | None = None
    target: str | None = None
    executable: bool = False

    @classmethod
    def file(cls, path: str, source: Path | str, executable: bool = False) -> Entry:
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


def folder_entries(
    folder: Path | str, path: str, keep: Callable[[str], bool] = lambda _: True
) -> Iterator[Entry]:
    """Everything below a folder, as entries below `path`, the folder itself first.

    `keep` sees each path inside the image; what it refuses is left out, folders with all they hold.
    Links stay links. Raises UnreadableFile.
    """
    yield Entry.directory(path)
    with _listed(folder) as found:
        for item in found:
            inside = f"{path}/{item.name}"
            if not keep(inside):
                continue
            if item.is_symlink():
                yield Entry.link(inside, os.readlink(item.path))  # noqa: PTH115 (Path would tidy the target)
            elif item.is_dir():
                yield from folder_entries(item.path, inside, keep)
            else:
                yield Entry.file(inside, item.path, bool(item.stat().st_mode & stat.S_IXUSR))


@contextmanager
def _listed(folder: Path | str) -> Iterator[Iterator[os.DirEntry[str]]]:
    try:
        found = os.scandir(folder)
    except OSError as error:
        raise UnreadableFile(folder, error.strerror or str(error), "Make it a readable folder.") from error
    with found:
        yield found
