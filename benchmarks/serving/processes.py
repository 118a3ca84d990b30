"""Servers as processes: each in a session of its own, so that all its workers can be counted and ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

GRACE = 30  # seconds that a server gets to end by itself


@dataclass(frozen=True, slots=True)
class Command:
    """What to start: arguments, the whole environment, and the folder to start it in."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    folder: Path


@dataclass(frozen=True, slots=True)
class Process:
    """A server that was started, by the id of its session; `log` has all that it printed."""

    session: int
    log: Path
    started: float  # time.monotonic() just before the start

    def is_alive(self) -> bool:
        return bool(members(self.session))

    def memory(self) -> int:
        """Bytes of all its processes, what they share counted once (PSS; proc_pid_smaps(5))."""
        return sum(_proportional_set_size(pid) for pid in members(self.session))

    def last_words(self) -> str:
        return self.log.read_text(errors="replace")[-3000:]


@contextmanager
def running(command: Command, log: Path) -> Iterator[Process]:
    """Start the command; at the end ask its session to stop, and kill what is left after GRACE."""
    with log.open("wb") as out:
        started = time.monotonic()
        child = subprocess.Popen(
            command.argv,
            env=command.env,
            cwd=command.folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        yield Process(child.pid, log, started)
    finally:
        _end(child)


def members(session: int) -> list[int]:
    """The ids of the session's living processes (field 6 of /proc/PID/stat, field 3 is Z for a dead one)."""
    return [pid for pid in _processes() if _state_and_session(pid) == (True, session)]


def _end(child: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        _signal(members(child.pid), number)
        deadline = time.monotonic() + GRACE
        while time.monotonic() < deadline:
            child.poll()
            if not members(child.pid):
                return
            time.sleep(0.05)
    raise SystemExit(f"processes of session {child.pid} cannot be ended")


def _signal(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - entries vanish


def _state_and_session(pid: int) -> tuple[bool, int]:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False, 0
    return fields[0] != "Z", int(fields[3])


def _proportional_set_size(pid: int) -> int:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:"))
