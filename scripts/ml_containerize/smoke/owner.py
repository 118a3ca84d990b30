"""Telling a running command's container from one that a killed command left behind."""

from __future__ import annotations

import os
from pathlib import Path

_PROC = Path("/proc")


def owner(process: int | None = None) -> str:
    """A process as a label: its machine's boot, its process id namespace, its id and its start (proc(5))."""
    process = process or os.getpid()
    return f"{_scope()}/{process}/{_started(process)}"


def is_gone(label: str) -> bool:
    """True where the process that wrote a label is known to have ended.

    A process of another machine or in another container cannot be seen from here and counts as running.
    """
    scope, process, started = ("", "", *label.rsplit("/", 2))[-3:]
    return bool(scope) and scope == _scope() and process.isdigit() and _started(int(process)) != started


def _scope() -> str:
    """What makes a process id unique; "" where the system does not say."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{(_PROC / 'self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def _started(process: int) -> str:
    """Clock ticks from the machine's boot to the process' start; "" where there is no such process."""
    try:
        stat = (_PROC / str(process) / "stat").read_text()
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[19]  # the name before may hold spaces; field 22 in proc(5)
