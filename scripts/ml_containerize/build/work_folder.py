"""Where an environment's files are until they are packed: in memory where there is room, else on disk.

Packages are tens of thousands of small files that are read once and thrown away. Writing them to a disk can
take longer than everything else together.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

PREFIX = "ml-containerize-work-"
MEMORY = Path("/dev/shm")  # noqa: S108 (POSIX shared memory: a tmpfs on every Linux)
_HEADROOM = 2  # times the need must be free: the build itself, and whatever else runs, needs memory, too
_LIMITS = (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"))


@dataclass(frozen=True, slots=True)
class WorkFolder:
    """A folder that nobody else uses; `in_memory` says that it costs memory instead of disk."""

    path: Path
    in_memory: bool


@contextmanager
def work_folder(beside: Path, need: int, memory: Path = MEMORY) -> Iterator[WorkFolder]:
    """A folder for `need` bytes that is gone afterwards."""
    in_memory = has_room(memory, need)
    path = Path(mkdtemp(prefix=PREFIX, dir=memory if in_memory else beside))
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield WorkFolder(path, in_memory)
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(handle)


def has_room(memory: Path, need: int) -> bool:
    """Does this memory file system, and the memory that is left to this process, hold the need with ease?"""
    if not (memory.is_mount() and os.access(memory, os.W_OK)):
        return False
    return min(shutil.disk_usage(memory).free, free_memory()) >= _HEADROOM * need


def free_memory(proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes that the kernel, and the control group of a container, still give."""
    told = re.search(r"^MemAvailable: +(\d+) kB$", _read(proc / "meminfo"), re.MULTILINE)
    machine = int(told[1]) * 1024 if told else 0
    limits = [_left(cgroup, *names) for names in _LIMITS]
    return min([machine, *(left for left in limits if left is not None)])


def _left(cgroup: Path, limit: str, used: str) -> int | None:
    """What a control group's limit leaves; None where there is no limit."""
    try:
        return int(_read(cgroup / limit)) - int(_read(cgroup / used))
    except ValueError:
        return None


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def sweep(*parents: Path) -> None:
    """Remove what killed runs left: a living run holds its folder's lock."""
    for leftover in (path for parent in parents for path in parent.glob(f"{PREFIX}*")):
        with suppress(OSError):
            _remove_unused(leftover)


def _remove_unused(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(handle)


def uv_cache(environ: Mapping[str, str], work: WorkFolder) -> dict[str, str]:
    """Variables that keep uv's cache in the work folder on machines that are thrown away after the job.

    CI systems set `CI`; whoever keeps uv's cache between jobs names its place in `UV_CACHE_DIR`.
    """
    thrown_away = environ.get("CI") == "true" and not environ.get("UV_CACHE_DIR")
    return {"UV_CACHE_DIR": str(work.path / "uv")} if thrown_away else {}
