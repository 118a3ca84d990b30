"""Writing files that are not there yet, and telling of each what became of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ml_containerize.console import Console
from ml_containerize.errors import UsageError


class NotWritable(UsageError):
    """A file that is missing cannot be written."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(
            f"{path} cannot be written: {error.strerror}", "Make its folder writable, and run this again."
        )


@dataclass(slots=True)
class Desk:
    """Writes below `root`, or with `dry_run` only says so; what exists is never touched."""

    root: Path
    console: Console
    dry_run: bool
    written: list[Path] = field(default_factory=list)

    def write(self, path: Path, text: Callable[[], str]) -> None:
        """Write one file, unless it exists. Raises NotWritable."""

        def perform() -> tuple[Path]:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as stream:
                stream.write(text())
            return (path,)

        self.have(path, [path] if path.exists() or path.is_symlink() else [], perform)

    def have(self, wanted: Path, existing: Sequence[Path], perform: Callable[[], Sequence[Path]]) -> None:
        """Keep what exists of the wanted, or make it, which gives the files that were made."""
        for path in existing:
            self.keep(path)
        if existing:
            return
        if self.dry_run:
            self._note("would write", wanted)
            return
        try:
            made = perform()
        except OSError as error:
            raise NotWritable(wanted, error) from error
        for path in made:
            self._note("wrote", path)

    def keep(self, path: Path) -> None:
        self._tell("kept", path)

    def _note(self, what: str, path: Path) -> None:
        self.written.append(path)
        self._tell(what, path)

    def _tell(self, what: str, path: Path) -> None:
        shown = path.relative_to(self.root) if path.is_relative_to(self.root) else path
        self.console.info(f"{what} {shown}")
