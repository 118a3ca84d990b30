"""The processes that a test started."""

from __future__ import annotations

import ctypes
from pathlib import Path


def adopt_orphans() -> None:
    """Make a process whose parent has ended a child of this one: prctl(2), PR_SET_CHILD_SUBREAPER."""
    ctypes.CDLL(None, use_errno=True).prctl(36, 1, 0, 0, 0)


def children() -> set[str]:
    """This process's children that are alive, as "number command", where /proc tells."""
    found = set()
    for listing in Path("/proc/self/task").glob("*/children"):
        for number in listing.read_text().split():
            try:
                state = Path(f"/proc/{number}/stat").read_text()
            except OSError:
                continue
            name, _, rest = state.partition("(")[2].rpartition(")")
            if not rest.startswith(" Z"):
                found.add(f"{number} {name}")
    return found
