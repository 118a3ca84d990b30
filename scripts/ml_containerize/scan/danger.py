"""What a model may do beside computing."""

from __future__ import annotations

from dataclasses import dataclass

UNREADABLE = "MLC-MODEL-UNREADABLE"


@dataclass(frozen=True, slots=True)
class Danger:
    """One thing that a model may do beside computing: an id for ignore files, a severity, and what it is."""

    id: str
    severity: str
    what: str


def unreadable(what: str) -> Danger:
    """What cannot be looked into does not pass."""
    return Danger(UNREADABLE, "CRITICAL", what)
