"""Paths inside a folder as a container would see them, with that folder as its root.

Paths are strings here: `pathlib` would tidy names and targets, and costs more than the work itself.
"""

# ruff: noqa: PTH101, PTH102, PTH108, PTH115

from __future__ import annotations

import os
import shutil
import stat
from collections import deque
from pathlib import Path

from ml_containerize.errors import BuildError
from ml_containerize.oci.decompress import CorruptLayer

_MOST_LINKS = 40  # as Linux (path_resolution(7))


class HostilePath(BuildError):
    """A layer names a place outside of the folder that it is unpacked into."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(
            f"The layer's entry {name!r} was refused: {why}",
            "Do not use this image: it reaches outside of its own root.",
        )


class Root:
    """A folder that nobody else writes to; what it resolves lies below it, by a way without links."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder.resolve())
        self._known: dict[str, str] = {}

    def place(self, name: str) -> str:
        """The path at which an entry's file belongs, its parents made where missing; raises HostilePath."""
        parts = _parts(name)
        if not parts:
            return self._folder
        parent = "/".join(parts[:-1])
        if parent not in self._known:
            self._known[parent] = self._walk(name, parts[:-1])
        return f"{self._known[parent]}/{parts[-1]}"

    def relative(self, path: str) -> str:
        """A resolved path as it is named in the image, without a leading slash."""
        return path[len(self._folder) + 1 :]

    def remove(self, path: str) -> None:
        """Delete whatever is at a resolved path, never what a link there points to."""
        try:
            mode = os.lstat(path).st_mode
        except FileNotFoundError:
            return
        self._known.clear()
        if stat.S_ISDIR(mode):
            shutil.rmtree(path)
        else:
            os.unlink(path)

    def _walk(self, name: str, parts: list[str]) -> str:
        done: list[str] = []
        ahead, links = deque(parts), 0
        while ahead:
            part = ahead.popleft()
            if part == "..":
                if not done:
                    raise HostilePath(name, "a link on its way leads outside")
                done.pop()
                continue
            target = self._step("/".join((self._folder, *done, part)), name)
            if target is None:
                done.append(part)
                continue
            links += 1
            if links > _MOST_LINKS:
                raise HostilePath(name, "the links on its way lead in a circle")
            if target.startswith("/"):
                done.clear()
            ahead.extendleft(reversed([piece for piece in target.split("/") if piece not in {"", "."}]))
        return "/".join((self._folder, *done))

    def _step(self, path: str, name: str) -> str | None:
        """Enter a folder, made where missing: None, or the target where a link is in its place."""
        try:
            mode = os.lstat(path).st_mode
        except FileNotFoundError:
            os.mkdir(path)
            os.chmod(path, 0o755)  # noqa: S103 (what the user's umask may not decide)
            return None
        if stat.S_ISLNK(mode):
            return os.readlink(path)
        if not stat.S_ISDIR(mode):
            raise CorruptLayer(f"{name!r} uses a file as a folder")
        return None


def _parts(name: str) -> list[str]:
    """An entry's name in pieces; a leading slash means the image's root, as container engines read it."""
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise HostilePath(name, "its name climbs with '..'")
    return parts
