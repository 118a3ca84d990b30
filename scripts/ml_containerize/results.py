"""What the stages hand to each other: frozen facts, each the argument of the next step.

settings → Plan → Image → SmokeReport, ScanReport → Comparison → Decision → Release → Record
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


Scalar = str | float | bool | None  # a value of a JSON document that holds no others


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer in a bounded number of values, to be compared with another one's later.

    `values` are the elements of the answer in their order, and evenly spread ones where there are too many;
    `form` is the SHA-256 of the answer without its values: its keys, and the lengths of its lists.
    """

    status: int  # HTTP's
    form: str
    count: int  # elements of the whole answer
    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One smoke case: what it measured (milliseconds) and, where it failed, why."""

    name: str
    passed: bool
    milliseconds: float
    problem: str = ""
    prediction: str = ""  # a short rendering of the first prediction, for people
    request: str = ""  # SHA-256 of the request's canonical JSON
    rtol: float = 0.0
    atol: float = 0.0
    answered: Answered | None = None  # None where there was no answer, or too much to keep


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output of the model; -1 in `shape` is a free size."""

    name: str
    datatype: str  # the Open Inference Protocol's, such as FP32
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Interface:
    """What the model takes and gives, as `GET /v2/models/<name>` tells."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


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
    interface: Interface | None = None  # None where the server tells none


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
class Change:
    """One fact of two images; None where an image has none."""

    name: str
    before: Scalar
    after: Scalar


@dataclass(frozen=True, slots=True)
class Differences:
    """How two images differ, as far as labels, annotations and layer lists tell; sizes in stored bytes."""

    model: tuple[Change, ...] = ()  # name, format, hash
    metrics: tuple[Change, ...] = ()
    packages: tuple[Change, ...] = ()
    base: tuple[Change, ...] = ()  # name, digest
    configuration: tuple[Change, ...] = ()  # what an engine starts, and how
    labels: tuple[Change, ...] = ()  # those that the parts above do not tell
    layers: tuple[str, ...] = ()  # whose layers differ: base, packages, serving, model
    size_before: int = 0
    size_after: int = 0
    new_bytes: int = 0  # of the layers that only the later image has
    notices: tuple[str, ...] = ()  # what cannot be told


@dataclass(frozen=True, slots=True)
class Move:
    """A case whose answer is another one now: by how much at most, None where it is not a matter of size.

    `relative` is a share of the larger of the two values.
    """

    name: str
    absolute: float | None
    relative: float | None
    what: str  # in words, for people
    before: str = ""  # short renderings of the first prediction
    after: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """This image beside the one that is in use: what changed, and what that means for those who use it."""

    outcome: Outcome
    before: str = ""  # what was named, and the digest that it has
    headline: str = ""  # the whole in one line
    differences: Differences | None = None
    measured: tuple[Change, ...] = ()  # start, latency, memory, vulnerabilities
    compared: int = 0  # cases that both were asked
    moved: tuple[Move, ...] = ()
    breaks: tuple[str, ...] = ()  # what existing clients of the interface trip over
    problems: tuple[str, ...] = ()  # why it is refused
    notices: tuple[str, ...] = ()  # what could not be compared, and why


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
