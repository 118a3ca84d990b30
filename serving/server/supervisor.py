"""The parent process: it listens, forks workers, replaces those that die, and passes on what it is told.

It never imports a framework: none survives a fork.
"""

from __future__ import annotations

import ctypes
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from mmap import mmap
from typing import NoReturn

from serving.errors import SettingWrong
from serving.settings import Settings, scratch_folder

log = logging.getLogger("serving")

MODEL_UNUSABLE = 3  # exit status
KILL_AFTER = 2.0  # seconds beyond the grace period, in which a worker ends by itself
RESPAWN = 1.0  # seconds that a worker must have lived to be replaced at once

_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGCHLD})
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Shared:
    """What parent and workers tell each other: memory that they share over the fork."""

    def __init__(self) -> None:
        self._bytes = mmap(-1, 3)

    @property
    def was_ready(self) -> bool:
        return self._bytes[0] != 0

    def now_ready(self) -> None:
        self._bytes[0] = 1

    @property
    def explained(self) -> bool:
        """A worker has told why it ended."""
        return self._bytes[2] != 0

    def now_explained(self) -> None:
        self._bytes[2] = 1

    def draining(self) -> bool:
        return self._bytes[1] != 0

    def drain(self) -> None:
        self._bytes[1] = 1


Work = Callable[[Settings, Shared, socket.socket], None]  # what a worker does; it returns when it was told to


def supervise(settings: Settings, work: Work) -> int:
    """Serve until told to stop; 0 where that was asked for, MODEL_UNUSABLE where no model can be served.

    Raises SettingWrong where nothing can listen on the address.
    """
    with _listening(settings) as listener, _metrics_folder(settings.workers):
        log.info("listening on http://%s", settings.address)
        return Supervisor(settings, work, listener).run()


class Supervisor:
    """A worker that died loading would only die again; one that served is replaced."""

    def __init__(self, settings: Settings, work: Work, listener: socket.socket) -> None:
        self._settings = settings
        self._work = work
        self._listener = listener
        self._shared = Shared()
        self._workers: dict[int, float] = {}  # process id, time.monotonic() at its start
        self._spawn_at: list[float] = []
        self._stop_at = self._kill_at = float("inf")
        self._status: int | None = None

    def run(self) -> int:
        """The exit status."""
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            for _ in range(self._settings.workers):
                self._spawn()
            while self._workers or self._spawn_at:
                self._wait()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        return self._status or 0

    def _wait(self) -> None:
        """Until a signal comes or something is due."""
        due = min(self._stop_at, self._kill_at, *self._spawn_at)
        seconds = min(max(0.0, due - time.monotonic()), 3600.0)
        found = signal.sigtimedwait(_SIGNALS, seconds)
        now = time.monotonic()
        if found is not None and found.si_signo != signal.SIGCHLD:
            self._shared.drain()  # not ready from now on: load balancers need the delay to look elsewhere
            delay = self._settings.shutdown_delay if found.si_signo == signal.SIGTERM else 0
            self._stop_at = min(self._stop_at, now + delay)
            self._status = self._status or 0
        self._reap(now)
        if now >= self._stop_at:
            self._stop(now)
        if now >= self._kill_at:
            self._tell(signal.SIGKILL)
        overdue = [at for at in self._spawn_at if at <= now]
        self._spawn_at = [at for at in self._spawn_at if at > now]
        for _ in overdue:
            self._spawn()

    def _reap(self, now: float) -> None:
        """Also what a container's first process inherits."""
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            started = self._workers.pop(pid, None)
            if started is not None and self._status is None:
                self._replace(started, now)

    def _replace(self, started: float, now: float) -> None:
        if self._shared.was_ready:
            log.error("a worker died and is replaced")
            self._spawn_at.append(max(now, started + RESPAWN))
            return
        if not self._shared.explained:
            log.critical("no worker lived until the model was ready; a killed one may lack memory")
        self._status = MODEL_UNUSABLE
        self._stop_at = now

    def _stop(self, now: float) -> None:
        self._stop_at = float("inf")
        self._kill_at = min(self._kill_at, now + self._settings.graceful_timeout + KILL_AFTER)
        self._spawn_at.clear()
        self._tell(signal.SIGTERM)

    def _tell(self, number: int) -> None:
        for pid in self._workers:
            os.kill(pid, number)

    def _spawn(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        pid = os.fork()
        if not pid:
            self._become_worker()
        self._workers[pid] = time.monotonic()

    def _become_worker(self) -> NoReturn:
        status = 1
        try:
            _end_with_parent()
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the parent decides
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            self._work(self._settings, self._shared, self._listener)
            status = 0
        except BaseException:
            log.critical("the worker failed", exc_info=True)
        finally:
            leave(status)


def leave(status: int) -> NoReturn:
    """End this process without taking a framework apart: that lasts a second, and loading may be at it."""
    logging.shutdown()
    sys.stdout.flush()
    os._exit(status)


def _end_with_parent() -> None:
    """Let the kernel end this worker where its parent is killed (prctl(2), PR_SET_PDEATHSIG)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.create_server((settings.host, settings.port), family=family)
    except OSError as error:
        raise SettingWrong(f"nothing can listen on {settings.address}: {error.strerror}") from error
    with listener:
        yield listener


@contextmanager
def _metrics_folder(workers: int) -> Iterator[None]:
    """Several workers count in files that they share (prometheus_client's multiprocess mode)."""
    if workers == 1:
        yield
        return
    folder = tempfile.mkdtemp(prefix="metrics-", dir=scratch_folder())
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)
