"""The record of one run, failed ones too: everything a person or a later job may ask about it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from ml_containerize import __version__
from ml_containerize.errors import ContainerizeError
from ml_containerize.names import Digest
from ml_containerize.oci.image import Image
from ml_containerize.plan.decide import Plan
from ml_containerize.plan.labels import LAYER, TITLE
from ml_containerize.report.gates import plain, write_json
from ml_containerize.results import (
    Comparison,
    Decision,
    Json,
    Outcome,
    Release,
    ScanReport,
    SmokeReport,
    StageTime,
)

RECORD_VERSION = 1
FILE_NAME = "result.json"


class Result(StrEnum):
    """How a run ended."""

    RELEASED = "released"  # every gate passed, the registry has the image and its tags
    PASSED = "passed"  # every gate passed, pushing was not asked for
    BUILT = "built"  # no gate was asked yet
    REFUSED = "refused"  # a gate said no; nothing was tagged
    FAILED = "failed"  # a stage could not do its work


@dataclass(frozen=True, slots=True)
class Failure:
    """The foreseeable error that ended a run."""

    title: str
    what: str
    fix: str
    exit_code: int

    @classmethod
    def of(cls, error: ContainerizeError) -> Failure:
        return cls(error.title, error.what, error.fix, error.exit_code)


@dataclass(frozen=True, slots=True)
class LayerUse:
    """One layer of the image: whose it is, its bytes as stored, and whether any of them moved."""

    digest: Digest
    size: int
    kind: str  # base, packages, serving, model
    title: str
    reused: bool | None  # None: nothing was pushed, so nothing is known


@dataclass(frozen=True, slots=True)
class Record:
    """What one run decided, made, measured and published; absent parts were not reached."""

    result: Result
    stages: tuple[StageTime, ...]
    plan: Plan | None = None
    image: Image | None = None
    smoke: SmokeReport | None = None
    scan: ScanReport | None = None
    comparison: Comparison | None = None
    decision: Decision | None = None
    releases: tuple[Release, ...] = ()
    failure: Failure | None = None
    project: str = ""  # the folder, as a person in the current one would type it

    @property
    def layers(self) -> tuple[LayerUse, ...]:
        base = self.plan.environment.base.name if self.plan else ""
        return layers_of(self.image, self.releases, base) if self.image else ()

    @property
    def bytes_uploaded(self) -> int:
        return sum(release.uploaded_bytes for release in self.releases)

    @property
    def tags(self) -> tuple[str, ...]:
        return tuple(str(tag) for release in self.releases for tag in release.tags)

    @property
    def reference(self) -> str:
        """`name@sha256:…` of what was published, else of what was built, else ''."""
        if self.releases:
            return str(self.releases[0].image)
        if self.image and self.plan and self.plan.settings.image:
            return str(self.plan.settings.image)
        return f"{self.plan.name}@{self.image.digest}" if self.plan and self.image else ""

    @property
    def skipped(self) -> tuple[str, ...]:
        gates = {"smoke": self.smoke, "scan": self.scan}
        skipped = [name for name, gate in gates.items() if gate and gate.outcome is Outcome.SKIPPED]
        return (*skipped, *(() if self.releases else ("push",)))

    def as_json(self) -> Json:
        """The record as written to `result.json`; sizes in bytes, times in seconds unless named `_ms`."""
        plan, image = self.plan, self.image
        return {
            "record_version": RECORD_VERSION,
            "tool": f"ml-containerize {__version__}",
            "result": self.result,
            "project": self.project,
            "failure": plain(self.failure),
            "image": self.reference,
            "digest": str(image.digest) if image else "",
            "tested_digest": _tested(self.smoke),
            "pushed_digest": str(self.releases[0].image.digest) if self.releases else "",
            "tags": list(self.tags),
            "identity": plan.identity if plan else "",
            "model": _model(plan),
            "model_hash": str(plan.model.hash) if plan else "",
            "environment_key": str(plan.environment.key) if plan else "",
            "git_sha": str(plan.source.sha) if plan and plan.source.sha else "",
            "base": _base(plan),
            "platform": str(image.platform) if image else "",
            "labels": dict(image.labels) if image else {},
            "stages": [{"stage": s.stage, "seconds": round(s.seconds, 3)} for s in self.stages],
            "layers": [plain(layer) for layer in self.layers],
            "size": sum(layer.size for layer in self.layers),
            "bytes_uploaded": self.bytes_uploaded,
            "smoke": plain(_without_answers(self.smoke)),
            "scan": plain(self.scan),
            "comparison": plain(self.comparison),
            "decision": plain(self.decision),
            "skipped": list(self.skipped),
        }

    def write(self, folder: Path) -> Path:
        """Write `result.json` into `folder`, whole or not at all."""
        return write_json(folder / FILE_NAME, self.as_json())


def layers_of(image: Image, releases: tuple[Release, ...], base: str) -> tuple[LayerUse, ...]:
    """The image's layers, lowest first; those without a title of ours are the base's."""
    moved = {digest for release in releases for digest in release.uploaded}
    return tuple(
        LayerUse(
            digest=layer.digest,
            size=layer.size,
            kind=layer.annotations.get(LAYER, "base"),
            title=layer.annotations.get(TITLE, base),
            reused=layer.digest not in moved if releases else None,
        )
        for layer in image.manifest.layers
    )


def _tested(smoke: SmokeReport | None) -> str:
    return str(smoke.digest) if smoke and smoke.digest else ""


def _without_answers(smoke: SmokeReport | None) -> SmokeReport | None:
    """Whole answers are kept in `smoke.json` and the proof: a step's output may have one MiB only."""
    if smoke is None:
        return None
    return replace(smoke, cases=tuple(replace(case, answered=None) for case in smoke.cases))


def _model(plan: Plan | None) -> Json:
    if plan is None:
        return {}
    model = plan.model
    return {"name": plan.name, "format": model.format, "hash": str(model.hash), "size": model.size}


def _base(plan: Plan | None) -> Json:
    if plan is None:
        return {}
    return {"name": plan.environment.base.name, "digest": str(plan.environment.base.digest)}
