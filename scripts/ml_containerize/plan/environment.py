"""Base image, locked Python packages and serving code, identified together by the environment key."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ml_containerize.names import Digest, EnvironmentKey, Platform


@dataclass(frozen=True, slots=True)
class Requirement:
    """One locked package: its canonical name, its exact version, its marker and its SHA-256 hashes."""

    name: str
    version: str
    marker: str  # "" where it always applies
    hashes: tuple[str, ...]  # sorted "sha256:<64 hex>"
    extras: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The requirement as one normalised line of a hash-locked requirements file."""
        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        marker = f" ; {self.marker}" if self.marker else ""
        hashes = "".join(f" --hash={value}" for value in self.hashes)
        return f"{self.name}{extras}=={self.version}{marker}{hashes}"


@dataclass(frozen=True, slots=True)
class BaseReference:
    """The base image: the name people know, its digest, and a reference or layout folder to find it at."""

    name: str
    digest: Digest
    where: str


@dataclass(frozen=True, slots=True)
class Environment:
    """Everything of the image but the model."""

    lock: Path
    requirements: tuple[Requirement, ...]
    base: BaseReference
    serving: Path  # the folder of the serving package
    platform: Platform
    key: EnvironmentKey
