"""The output folder: made where it is missing, and one run at a time in it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ml_containerize.errors import BuildError

NAME = ".lock"


class FolderInUse(BuildError):
    """Another run is working in the output folder."""

    def __init__(self, folder: Path, holder: str) -> None:
        who = f" (process {holder})" if holder else ""
        super().__init__(
            f"Another run is using {folder}{who}",
            "Wait for it to end, or give this run an output folder of its own with --output.",
        )


class FolderUnusable(BuildError):
    """The output folder cannot be made or written."""

    def __init__(self, folder: Path, error: OSError) -> None:
        super().__init__(
            f"The output folder {folder} cannot be used: {error.strerror}",
            "Choose another one with --output.",
        )


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep the folder to this process, which frees it however it ends; raises FolderInUse, FolderUnusable."""
    try:
        _make(folder)
        handle = os.open(folder / NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise FolderUnusable(folder, error) from error
    try:
        _take(handle, folder)
        yield
    finally:
        os.close(handle)


def _make(folder: Path) -> None:
    """Make the folder, unseen by git as other tools' work folders are; one that was there stays as it is."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        return
    (folder / ".gitignore").write_text("*\n")


def _take(handle: int, folder: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise FolderInUse(folder, os.read(handle, 20).decode("ascii", "replace").strip()) from None
    os.ftruncate(handle, 0)
    os.write(handle, f"{os.getpid()}\n".encode())
