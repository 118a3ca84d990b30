"""What a `result.json` tells of the run that wrote it, read as strictly as any file from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ml_containerize.errors import EnvironmentMissing
from ml_containerize.report.record import RECORD_VERSION, Failure, Result
from ml_containerize.report.shapes import Misshapen, read_object
from ml_containerize.results import Comparison, Decision, Json, ScanReport, SmokeReport, StageTime

_LARGEST = 32 << 20  # bytes; a record of thousands of findings has a few MiB


class BadRecord(EnvironmentMissing):
    """A record cannot be read, so nothing is known of its run."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"{path} is not a record of this version of ml-containerize: {why}",
            "Run the job again that should have written it; its log tells how it ended.",
        )


@dataclass(frozen=True, slots=True)
class ToldModel:
    """The model, empty where the run ended before it was known; `size` in bytes."""

    name: str = ""
    format: str = ""
    hash: str = ""
    size: int = 0


@dataclass(frozen=True, slots=True)
class Told:
    """A record's facts, by the keys of `result.json`; sizes in bytes."""

    record_version: int
    result: Result
    tool: str = ""
    project: str = ""
    failure: Failure | None = None
    image: str = ""
    digest: str = ""
    tags: tuple[str, ...] = ()
    identity: str = ""
    model: ToldModel = field(default_factory=ToldModel)
    git_sha: str = ""
    base: Mapping[str, str] = field(default_factory=dict)
    platform: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    stages: tuple[StageTime, ...] = ()
    size: int = 0
    bytes_uploaded: int = 0
    smoke: SmokeReport | None = None
    scan: ScanReport | None = None
    comparison: Comparison | None = None
    decision: Decision | None = None

    @property
    def name(self) -> str:
        """The model's name; where the run ended before that was known, its folder's."""
        return self.model.name or PurePosixPath(self.project).name

    @property
    def passed(self) -> bool:
        return self.failure is None and self.result in {Result.RELEASED, Result.PASSED, Result.BUILT}

    @property
    def exit_code(self) -> int:
        """What the run ended with; 1 where it failed without saying how."""
        if self.passed:
            return 0
        return self.failure.exit_code if self.failure and 0 < self.failure.exit_code < 256 else 1

    @property
    def problems(self) -> tuple[str, ...]:
        """Why it failed: every gate's reasons, else the error that ended it."""
        if self.decision and self.decision.reasons:
            return self.decision.reasons
        return (f"{self.failure.title}: {self.failure.what}",) if self.failure else ()

    @property
    def seconds(self) -> float:
        return sum(stage.seconds for stage in self.stages)


def read_told(path: Path) -> Told:
    """Read a record; raises BadRecord where it is missing, half-written, or of another version."""
    try:
        with path.open("rb") as file:
            body = file.read(_LARGEST + 1)
        if len(body) > _LARGEST:
            raise BadRecord(path, f"it is larger than {_LARGEST >> 20} MiB")
        return parse_told(json.loads(body))
    except OSError as error:
        raise BadRecord(path, error.strerror or "it cannot be read") from error
    except Misshapen as error:
        raise BadRecord(path, str(error)) from error
    except (ValueError, RecursionError) as error:
        raise BadRecord(path, "it is no JSON, or was not written to its end") from error


def parse_told(value: Json) -> Told:
    """A record's JSON; raises Misshapen."""
    told = read_object(Told, value, "record")
    if told.record_version != RECORD_VERSION:
        raise Misshapen("record.record_version", str(RECORD_VERSION))
    return told
