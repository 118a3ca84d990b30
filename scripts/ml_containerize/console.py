"""What people see while the command works: everything on stderr, stdout stays for data."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TextIO

Advance = Callable[[int], None]

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def human_size(count: float) -> str:
    """1536 → '1.5 KiB'."""
    for unit in _UNITS[:-1]:
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} {_UNITS[-1]}"


def human_seconds(seconds: float) -> str:
    """0.42 → '0.4 s', 75 → '1 min 15 s'."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def human_value(value: object) -> str:
    """A value of any kind, short enough for a line: digests and hashes by their beginning."""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = printable(str(value))
    if re.fullmatch(r"(?:sha256:)?[0-9a-f]{40,64}", text):
        return text.removeprefix("sha256:")[:12]
    return text if len(text) <= 100 else f"{text[:99]}…"


def escape_workflow_command(text: str) -> str:
    """Escape text for a GitHub workflow command's message, as actions/toolkit's `escapeData` does."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


@dataclass(slots=True)
class Console:
    """Stages, lines and progress for people; log groups where GitHub Actions reads along."""

    stream: TextIO = field(default_factory=lambda: sys.stderr)
    github: bool = False
    quiet: bool = False

    @property
    def interactive(self) -> bool:
        return not self.github and not self.quiet and self.stream.isatty()

    def line(self, text: str) -> None:
        if not self.quiet:
            print(text, file=self.stream, flush=True)

    def info(self, text: str) -> None:
        """One fact inside a stage."""
        clean = printable(text)
        self.line(f"  {_not_a_command(clean) if self.github else clean}")

    def warn(self, text: str) -> None:
        """Something the reader should know although the run goes on."""
        if self.github:
            print(f"::warning::{escape_workflow_command(text)}", file=self.stream, flush=True)
        else:
            self.line(f"  {self._paint('33', 'warning:')} {printable(text)}")

    def error(self, title: str, text: str) -> None:
        if self.github:
            message = f"::error title=ml-containerize {title}::{escape_workflow_command(text)}"
            print(message, file=self.stream, flush=True)
        else:
            print(f"{self._paint('31', 'error:')} {printable(text)}", file=self.stream, flush=True)

    @contextmanager
    def stage(self, name: str, about: str = "") -> Iterator[None]:
        """A heading for one stage, its lines folded into a log group in CI, its seconds at the end."""
        start = time.monotonic()
        heading = printable(" ".join(f"{name}  {about}".split("\n"))).rstrip()
        self.line(f"::group::{heading}" if self.github else self._paint("1", f"▸ {heading}"))
        try:
            yield
        finally:
            took = f"{name} took {human_seconds(time.monotonic() - start)}"
            self.line(f"  {self._paint('2', took)}")
            if self.github:
                self.line("::endgroup::")

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator[Advance]:
        """A bar over `total` bytes on a terminal; elsewhere a line every ten seconds of long work."""
        if self.interactive:
            with _bar(what, total, self.stream) as advance:
                yield advance
        else:
            yield _Ticker(self, what, total).advance

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.interactive else text


def _not_a_command(text: str) -> str:
    """Text from outside must not start a workflow command, which the runner finds behind spaces, too."""
    return re.sub(r"(?m)^(\s*)::", r"\1: :", text).replace("##[", "# #[")


def printable(text: str) -> str:
    """Control characters from file names, logs and registries must not reach a terminal as commands."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


@contextmanager
def _bar(what: str, total: int, stream: TextIO) -> Iterator[Advance]:
    from rich.console import Console as RichConsole
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("  {task.description}"), BarColumn(), DownloadColumn(True), TransferSpeedColumn())
    with Progress(*columns, console=RichConsole(file=stream), transient=True) as bars:
        task = bars.add_task(what, total=total)
        yield lambda count: bars.update(task, advance=count)


@dataclass(slots=True)
class _Ticker:
    console: Console
    what: str
    total: int
    done: int = 0
    last: float = field(default_factory=time.monotonic)

    def advance(self, count: int) -> None:
        self.done += count
        if time.monotonic() - self.last >= 10:
            self.last = time.monotonic()
            self.console.info(f"{self.what}: {human_size(self.done)} of {human_size(self.total)}")
