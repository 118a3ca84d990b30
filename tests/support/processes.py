"""The processes that a test started."""

from __future__ import annotations

import ctypes
from pathlib import Path


def adopt_orphans() -> None:
    """Make a process whose parent has ended a child of this one: prctl(2), PR_SET_CHILD_SUBREAPER."""
    ctypes.CDLL(None, use_errno=True).prctl(36, 1, 0, 0, 0)


def alive(number: int) -> str:
    """The command of a process that has not ended, or ""; one that only waits to be reaped has (proc(5))."""
    try:
        state = Path(f"/proc/{number}/stat").read_text()
    except OSError:
        return ""
    name, _, rest = state.partition("(")[2].rpartition(")")
    return "" if rest.startswith(" Z") else name


def children() -> set[str]:
    """This process's children that are alive, as "number command", where /proc tells."""
    listings = Path("/proc/self/task").glob("*/children")
    numbers = [int(number) for listing in listings for number in listing.read_text().split()]
    return {f"{number} {name}" for number in numbers if (name := alive(number))}
