"""Starting other programs: one function, handed to whoever needs it, so that a test can hand in another."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Completed:
    """A program that ended: its exit status and what it printed."""

    argv: tuple[str, ...]
    status: int
    stdout: str
    stderr: str

    @property
    def ok(self) -> bool:
        return self.status == 0


class Run(Protocol):
    """Run a program to its end and return what it printed; raises FileNotFoundError or TimeoutError."""

    def __call__(
        self,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
        timeout: float | None = None,
    ) -> Completed: ...


def run(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
    timeout: float | None = None,
) -> Completed:
    """Run `argv` without a shell; `env` replaces the environment where it is given."""
    try:
        done = subprocess.run(
            list(argv),
            cwd=cwd,
            env=dict(env) if env is not None else None,
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(f"{argv[0]} did not end within {timeout:g} s") from error
    return Completed(tuple(argv), done.returncode, done.stdout, done.stderr)


class Start(Protocol):
    """Start a program beside this one; the context's value waits for its end and returns what it printed.

    Whoever leaves the context earlier ends the program.
    """

    def __call__(
        self, argv: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> AbstractContextManager[Callable[[], Completed]]: ...


@contextmanager
def start(
    argv: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> Iterator[Callable[[], Completed]]:
    """Start `argv` without a shell and without input; `env` replaces the environment where it is given."""
    with TemporaryFile("w+", errors="replace") as stdout, TemporaryFile("w+", errors="replace") as stderr:
        process = subprocess.Popen(
            list(argv),
            cwd=cwd,
            env=dict(env) if env is not None else None,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
        )

        def wait() -> Completed:
            status = process.wait()
            stdout.seek(0)
            stderr.seek(0)
            return Completed(tuple(argv), status, stdout.read(), stderr.read())

        try:
            yield wait
        finally:
            process.kill()
            process.wait()
