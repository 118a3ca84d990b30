"""What all cases stand on: servers that run one at a time, and loads whose answers are compared."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import free_port, say
from benchmarks.serving.client import Checked, Connection, send_at, send_on
from benchmarks.serving.load import Load
from benchmarks.serving.processes import Process, running
from benchmarks.serving.targets import Target
from benchmarks.serving.wrk import Saturation, saturate

READY = 180.0  # seconds until a server must have answered
POLL = 0.02  # seconds between two requests to a server that starts
WARM_UP = 2.0  # seconds at most
CHECKS = 20.0  # requests a second whose answers are compared while wrk saturates the server


@dataclass(frozen=True, slots=True)
class Stand:
    """A scratch folder, and how many seconds each load lasts."""

    folder: Path
    seconds: float

    @contextmanager
    def serving(self, target: Target, load: Load) -> Iterator[Server]:
        """Start the server and wait until it has answered the load's first request rightly."""
        port = free_port()
        command = target.start(port, self.folder)
        with running(command, self.folder / "server.log") as process:
            origin = f"http://127.0.0.1:{port}"
            yield Server(origin, process, self.seconds, _first_answer(origin, process, load, target.name))


@dataclass(frozen=True, slots=True)
class Figures:
    """A saturated server: right answers a second, latencies in seconds, and what went wrong."""

    rate: float
    p50: float
    p99: float
    longest: float
    errors: int  # connections lost, requests refused or unanswered
    checked: int
    failing: int


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers at `origin` (http://host:port); `ready` is when it first did, in seconds."""

    origin: str
    process: Process
    seconds: float
    ready: float

    def page(self, path: str) -> str:
        """What a GET answers; raises SystemExit with the server's last words where that is no 200."""
        try:
            with urllib.request.urlopen(self.origin + path, timeout=10) as answer:
                return str(answer.read().decode())
        except OSError as error:
            raise SystemExit(f"{path}: {error}\n{self.process.last_words()}") from error

    def saturated(self, load: Load, connections: int) -> Figures:
        """wrk on so many connections, while one more connection compares answers at a low rate."""
        saturate(self.origin, load, connections, min(WARM_UP, self.seconds))
        return self.paced(load, connections, 0)

    def paced(self, load: Load, connections: int, rate: float) -> Figures:
        """The same at a constant rate in requests a second; 0 is as fast as they are answered."""
        with ThreadPoolExecutor(1) as pool:
            checks = pool.submit(send_at, self.origin, load, rate=CHECKS, seconds=self.seconds, connections=1)
            found = saturate(self.origin, load, connections, self.seconds, rate)
        return _figures(found, checks.result())

    def busy(self, load: Load, connections: int) -> Checked:
        """Connections that are always busy, every answer compared: for few requests that take long."""
        send_on(self.origin, load, connections=connections, seconds=min(WARM_UP, self.seconds))
        found = send_on(self.origin, load, connections=connections, seconds=self.seconds)
        report(found)
        return found


def report(found: Figures | Checked) -> None:
    """Say on stderr what was measured."""
    say(
        f"    {found.rate:.1f} req/s, p50 {found.p50 * 1e3:.2f} ms, p99 {found.p99 * 1e3:.2f} ms, "
        f"{found.failing} of {found.checked} answers wrong"
    )


def _first_answer(origin: str, process: Process, load: Load, name: str) -> float:
    """Seconds from the process's start to the first right answer; raises SystemExit after READY."""
    connection = Connection(origin, load)
    while (passed := time.monotonic() - process.started) < READY and process.is_alive():
        try:
            if load.is_right(0, connection.send(0)):
                passed = time.monotonic() - process.started
                connection.close()
                return passed
        except OSError:
            pass
        time.sleep(POLL)
    raise SystemExit(f"{name} gave no right answer in {passed:.0f} s:\n{process.last_words()}")


def _figures(found: Saturation, checks: Checked) -> Figures:
    longest = max(found.longest, checks.longest)
    errors = found.errors + found.refused
    figures = Figures(
        found.right + checks.rate, found.p50, found.p99, longest, errors, checks.checked, checks.failing
    )
    report(figures)
    if errors:
        say(f"    {errors} requests lost or refused")
    return figures
