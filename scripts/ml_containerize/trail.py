"""What a run has reached so far; the record is made of it, however the run ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ml_containerize.console import Console
from ml_containerize.errors import BuildError, ContainerizeError
from ml_containerize.oci.image import Image
from ml_containerize.plan.decide import Plan
from ml_containerize.report.record import Failure, Record, Result
from ml_containerize.results import Comparison, Decision, Release, ScanReport, SmokeReport, StageTime


@dataclass(slots=True)
class Trail:
    """Filled stage by stage; the one value in a run that changes."""

    console: Console
    project: str = ""  # its folder as a person in the current one would type it
    stages: list[StageTime] = field(default_factory=list)
    plan: Plan | None = None
    image: Image | None = None
    smoke: SmokeReport | None = None
    scan: ScanReport | None = None
    comparison: Comparison | None = None
    decision: Decision | None = None
    releases: tuple[Release, ...] = ()
    error: ContainerizeError | None = None

    @contextmanager
    def stage(self, name: str, about: str = "") -> Iterator[None]:
        start = time.monotonic()
        try:
            with self.console.stage(name, about):
                yield
        finally:
            self.stages.append(StageTime(name, time.monotonic() - start))

    @property
    def known_image(self) -> Image:
        if self.image is None:
            raise BuildError("no image was built", "Run `ml-containerize build` first.")
        return self.image

    def record(self) -> Record:
        return Record(
            result=self._result(),
            stages=tuple(self.stages),
            project=self.project,
            plan=self.plan,
            image=self.image,
            smoke=self.smoke,
            scan=self.scan,
            comparison=self.comparison,
            decision=self.decision,
            releases=self.releases,
            failure=Failure.of(self.error) if self.error else None,
        )

    def _result(self) -> Result:
        if self.decision and not self.decision.accepted:
            return Result.REFUSED
        if self.error:
            return Result.FAILED
        if any(release.tags for release in self.releases):
            return Result.RELEASED
        return Result.PASSED if self.decision else Result.BUILT
