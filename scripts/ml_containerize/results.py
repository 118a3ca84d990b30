"""What the stages hand to each other: frozen facts, each the argument of the next step.

settings → Plan → Image → SmokeReport, ScanReport → Decision → Release → Record
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ml_containerize.names import Digest, DigestReference, TagReference


class Outcome(StrEnum):
    """How a gate ended. `REUSED`: it passed earlier for these very bytes under this very policy."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    REUSED = "reused"


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One smoke case: what it measured (milliseconds) and, where it failed, why."""

    name: str
    passed: bool
    milliseconds: float
    problem: str = ""
    prediction: str = ""  # a short rendering of the first prediction, for people


@dataclass(frozen=True, slots=True)
class SmokeReport:
    """What the container did: seconds to readiness, latency in milliseconds, peak memory in bytes."""

    outcome: Outcome
    digest: Digest | None = None
    engine: str = ""  # "docker 26.1.5", "embedded (bubblewrap 0.11.0)"
    gpu: str = ""  # what was used: "", "none", "NVIDIA H100 …"
    startup_seconds: float | None = None
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None
    memory_bytes: int | None = None
    cases: tuple[CaseResult, ...] = ()
    problems: tuple[str, ...] = ()  # why it failed, budgets included
    notices: tuple[str, ...] = ()  # what the engine could not enforce, why it was skipped
    log_tail: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a scanner found: a vulnerability, secret, misconfiguration, licence or unsafe code."""

    id: str
    package: str
    installed: str
    fixed: str  # "" where no fix is known
    severity: str  # CRITICAL, HIGH, MEDIUM, LOW, UNKNOWN
    title: str = ""
    url: str = ""
    target: str = ""
    ignored_by: str = ""  # the rule that lets it pass: "ignore-unfixed", ".trivyignore:12"
    kind: str = "vulnerability"  # vulnerability, secret, misconfiguration, license, model
    path: str = ""  # the file inside the image, "" where none is known
    purl: str = ""  # the package URL, "" where none is known


@dataclass(frozen=True, slots=True)
class ScanReport:
    """What the scanner found and what the policy says of it."""

    outcome: Outcome
    digest: Digest | None = None
    scanner: str = ""  # "trivy 0.74.0"
    database_updated: str = ""  # RFC 3339, from the database's own metadata
    counts: Mapping[str, int] = field(default_factory=dict)  # per severity, all findings
    refused: tuple[Finding, ...] = ()  # what the policy does not accept
    ignored: tuple[Finding, ...] = ()  # what it would have refused but for a rule
    problems: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """May it be published? Made once, from all gates, before any tag exists."""

    accepted: bool
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Release:
    """An image's digest in its registry and the tags that point to it."""

    image: DigestReference
    tags: tuple[TagReference, ...]
    uploaded_bytes: int
    uploaded: tuple[Digest, ...]  # blobs that moved; every other blob was there or was mounted
    mounted: tuple[Digest, ...] = ()


@dataclass(frozen=True, slots=True)
class StageTime:
    """One stage's wall-clock seconds."""

    stage: str
    seconds: float


Json = dict[str, Any]
