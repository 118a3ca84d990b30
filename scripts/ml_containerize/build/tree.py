"""An image's unpacked layers, looked at as the one root file system that a container would see."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass
from pathlib import Path

_MOST_LINKS = 40  # as Linux (path_resolution(7))


@dataclass(frozen=True, slots=True)
class Tree:
    """Folders that lie over each other, the lowest first. Paths are absolute, as inside the image."""

    folders: tuple[Path, ...]

    def resolve(self, path: str) -> str | None:
        """The path with every link followed; None where nothing is there."""
        done, ahead, links = "", deque(_parts(path)), 0
        while ahead:
            part = ahead.popleft()
            if part == "..":
                done = done.rpartition("/")[0]
                continue
            found = self._topmost(f"{done}/{part}")
            if found is None:
                return None
            if not found.is_symlink():
                done = f"{done}/{part}"
                continue
            links += 1
            if links > _MOST_LINKS:
                return None
            target = os.readlink(found)  # noqa: PTH115 (Path would tidy the target)
            done = "" if target.startswith("/") else done
            ahead.extendleft(reversed(_parts(target)))
        return done or "/"

    def find(self, path: str) -> Path | None:
        """Where on this machine the file lies that a path means; None where there is none."""
        resolved = self.resolve(path)
        return self._topmost(resolved) if resolved else None

    def names(self, path: str) -> frozenset[str]:
        """The names in a folder; empty where there is none."""
        resolved = self.resolve(path)
        if resolved is None:
            return frozenset()
        parts = (Path(f"{folder}{resolved}") for folder in self.folders)
        return frozenset(item.name for part in parts if part.is_dir() for item in part.iterdir())

    def _topmost(self, path: str) -> Path | None:
        places = (Path(f"{folder}{path}") for folder in reversed(self.folders))
        return next((place for place in places if os.path.lexists(place)), None)


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in {"", "."}]
