"""What was asked of the command `report`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ml_containerize.plan.settings.problems import WrongSettings
from ml_containerize.plan.settings.reading import Reading
from ml_containerize.report.collect import Expected, parse_matrix


@dataclass(frozen=True, slots=True)
class Wanted:
    """Where the records are and whose there must be; `expected` is None where nobody said."""

    places: tuple[Path, ...]
    expected: tuple[Expected, ...] | None
    reason: str
    comment: bool
    summary: bool
    output: Path | None  # the folder for `notes.md`; None where none was named


def load_wanted(
    places: Sequence[Path], names: Sequence[str], flags: Mapping[str, object], environ: Mapping[str, str]
) -> Wanted:
    """Read arguments, flags and variables; a flag wins. Raises WrongSettings or BadMatrix."""
    here = Path.cwd()
    reading = Reading(here, here)
    values = reading.defaults() | reading.environment(environ) | reading.flags(flags)
    if reading.problems:
        raise WrongSettings(reading.problems)
    matrix, reason = parse_matrix(values["models"]) if values["models"] else ((), "")
    said = bool(values["models"] or names)
    return Wanted(
        places=tuple(here / place for place in places) or (values["path"],),
        expected=(*matrix, *map(Expected, names)) if said else None,
        reason=reason,
        comment=values["comment"],
        summary=values["summary"],
        output=values["output"],
    )
