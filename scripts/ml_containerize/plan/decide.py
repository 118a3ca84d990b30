"""Every decision, made before any work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ml_containerize.plan.environment import Environment
from ml_containerize.plan.model import Model
from ml_containerize.plan.settings import Settings
from ml_containerize.plan.source import Source
from ml_containerize.results import Json


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be built, proved and published."""

    settings: Settings
    name: str
    model: Model
    environment: Environment
    source: Source
    identity: str  # the tag that never moves
    tags: tuple[str, ...]  # the tags that move
    created: str  # RFC 3339, UTC
    labels: Mapping[str, str]
    cases: tuple[Path, ...]  # recorded smoke cases, sorted
    metrics: Json | None = None
