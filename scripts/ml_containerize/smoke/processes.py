"""Facts about running processes, read from /proc (proc(5))."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
_LISTENING = "0A"  # TCP_LISTEN in the kernel's include/net/tcp_states.h


def process_tree(root: int) -> tuple[int, ...]:
    """A process and all its descendants, as far as they still run."""
    found, waiting = [], [root]
    while waiting:
        process = waiting.pop()
        if (_PROC / str(process)).exists():
            found.append(process)
            waiting += _children(process)
    return tuple(found)


def _children(process: int) -> list[int]:
    children = []
    for path in (_PROC / str(process) / "task").glob("*/children"):
        with suppress(OSError):
            children += [int(word) for word in path.read_text().split()]
    return children


def memory_of(processes: Iterable[int]) -> int:
    """Bytes of anonymous and shared memory; what several processes share is counted once.

    Pages of mapped files are left out: the kernel can drop them at any time.
    """
    return sum(_proportional(process) or _resident(process) for process in processes)


def _proportional(process: int) -> int:
    return _kilobytes(_PROC / str(process) / "smaps_rollup", r"^Pss_(?:Anon|Shmem):\s+(\d+) kB")


def _resident(process: int) -> int:
    """Where the proportional set is not ours to read."""
    return _kilobytes(_PROC / str(process) / "status", r"^Rss(?:Anon|Shmem):\s+(\d+) kB")


def _kilobytes(path: Path, pattern: str) -> int:
    try:
        found = re.findall(pattern, path.read_text(), re.MULTILINE)
    except OSError:
        return 0  # ended meanwhile, or not ours to read
    return sum(map(int, found)) * 1024


def listens(port: int, processes: Iterable[int]) -> bool:
    """True where one of `processes` holds the socket that listens on a TCP port of this machine."""
    sockets = {f"socket:[{inode}]" for inode in listening_sockets(port)}
    return any(link in sockets for process in processes for link in _open_files(process))


def listening_sockets(port: int) -> set[str]:
    """The inodes of the sockets that listen on a TCP port, whatever their address."""
    rows = (row for table in ("tcp", "tcp6") for row in _socket_table(table))
    return {row[9] for row in rows if row[3] == _LISTENING and int(row[1].rpartition(":")[2], 16) == port}


def _socket_table(name: str) -> list[list[str]]:
    try:
        lines = (_PROC / "net" / name).read_text().splitlines()
    except OSError:
        return []
    return [line.split() for line in lines[1:]]


def _open_files(process: int) -> list[str]:
    links = []
    with suppress(OSError):
        for path in (_PROC / str(process) / "fd").iterdir():
            with suppress(OSError):
                links.append(str(path.readlink()))
    return links
