"""What the user decided: flags, environment, config file and defaults, parsed once into one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ml_containerize.names import Platform, Repository

Latest = Literal["auto"] | bool
Engine = Literal["auto", "docker", "embedded"]
Existing = Literal["refuse", "keep"]


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that no log, report or traceback may show."""

    value: str = field(default="", repr=False)

    def __bool__(self) -> bool:
        return bool(self.value)

    def __str__(self) -> str:
        return "***" if self.value else ""


@dataclass(frozen=True, slots=True)
class Budgets:
    """Limits that the smoke test's measurements may not exceed; None sets no limit."""

    latency_p95_ms: float | None = None
    startup_seconds: float | None = None
    memory_mb: float | None = None  # megabytes of 2**20 bytes


@dataclass(frozen=True, slots=True)
class Settings:
    """Every option's value; paths are absolute."""

    project: Path
    config: Path | None  # the config file that was read
    model: Path | None  # None: the one candidate in the project
    requirements: Path | None
    name: str  # the last part of an image's name
    base_image: str
    platform: Platform
    images: tuple[Repository, ...]
    tags: tuple[str, ...]  # extra moving tags
    tag_latest: Latest
    labels: Mapping[str, str]
    push: bool
    registry: str  # the login's registry; "" where images[0] names it
    username: str
    password: Secret
    existing: Existing
    allow_dirty: bool
    smoke: bool
    smoke_cases: str  # a glob inside the project
    engine: Engine
    gpus: str  # "auto", "none", "all", a count or "device=…"
    startup_timeout: float  # seconds
    budgets: Budgets
    scan: bool
    severity: frozenset[str]
    ignore_unfixed: bool
    exit_code: int  # 0: report findings without refusing
    scanners: tuple[str, ...]
    trivyignores: tuple[Path, ...]
    timeout: str  # a Go duration, for trivy
    db_repository: tuple[str, ...]
    skip_db_update: bool
    trivy_version: str  # "" where the built-in pin applies
    trivy_sha256: str
    trivy_path: Path | None
    summary: bool
    output: Path
    cache: Path
