"""Many records as one: which models were expected, and how the runs of each ended."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ml_containerize.errors import EnvironmentMissing, UsageError
from ml_containerize.report.markdown import shortened
from ml_containerize.report.record import FILE_NAME, Result
from ml_containerize.report.told import BadRecord, Told, read_told
from ml_containerize.results import Json

_MISSING = EnvironmentMissing.exit_code
_LONGEST = 500  # characters of a name, more than any registry takes
_ORDER = (Result.FAILED, Result.REFUSED, Result.BUILT, Result.PASSED, Result.RELEASED)


class NothingToReport(EnvironmentMissing):
    """There is no record, and nobody said that none was expected."""

    def __init__(self, places: Iterable[Path]) -> None:
        super().__init__(
            f"no {FILE_NAME} in {', '.join(map(str, places))}",
            "Give `models` the matrix that `ml-containerize models` made; an empty one expects no record.",
        )


class BadMatrix(UsageError):
    """The models that are expected are not written as a matrix."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"`models` is no matrix of models: {why}",
            'It is what `ml-containerize models --json` prints: {"include": [{"name": …, "path": …}]}.',
        )


@dataclass(frozen=True, slots=True)
class Expected:
    """A model that must have a record; its path is '' where only the name is known."""

    name: str
    path: str = ""

    def has(self, told: Told) -> bool:
        """True for a record about it: of its folder, or where either's folder is unknown, of its name."""
        if self.path and told.project:
            return os.path.normpath(self.path) == os.path.normpath(told.project)
        return bool(self.name) and self.name == told.name


@dataclass(frozen=True, slots=True)
class ModelOverview:
    """One model and all that was told of it; without runs, `problem` says what is known of it."""

    name: str
    runs: tuple[Told, ...] = ()
    problem: str = ""

    @property
    def failed(self) -> tuple[Told, ...]:
        return tuple(run for run in self.runs if not run.passed)

    @property
    def passed(self) -> bool:
        return self.exit_code == 0

    @property
    def exit_code(self) -> int:
        """The first failed run's; 8 where no run tells anything."""
        if not self.runs:
            return _MISSING
        return next((run.exit_code for run in self.failed), 0)

    @property
    def result(self) -> Result:
        """The first failure, or how far the model came."""
        if self.failed:
            return Result.REFUSED if self.failed[0].result is Result.REFUSED else Result.FAILED
        return self.main.result if self.runs else Result.FAILED

    @property
    def main(self) -> Told:
        """The run that came furthest; there must be one."""
        return max(self.runs, key=lambda run: _ORDER.index(run.result))

    @property
    def image(self) -> str:
        """`name@sha256:…` of what was released, else of what was built."""
        return self.main.image if self.runs else ""

    @property
    def tags(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(tag for run in self.runs for tag in run.tags))

    @property
    def problems(self) -> tuple[str, ...]:
        """Why it failed, in lines."""
        told = (self.problem,) if self.problem else tuple(p for run in self.failed for p in run.problems)
        return tuple(line for text in told for line in text.splitlines() if line.strip())

    @property
    def digests(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(run.digest for run in self.runs if run.digest))


@dataclass(frozen=True, slots=True)
class Overview:
    """All models of a job: those that were expected in their order, then the others by name."""

    models: tuple[ModelOverview, ...]
    reason: str = ""  # why these models, in the words of `models`

    @property
    def failed(self) -> tuple[ModelOverview, ...]:
        return tuple(model for model in self.models if not model.passed)

    @property
    def problems(self) -> tuple[str, ...]:
        """The first line about each failed model."""
        return tuple(f"{m.name}: {next(iter(m.problems), 'it failed')}" for m in self.failed)

    @property
    def exit_code(self) -> int:
        return next((model.exit_code for model in self.failed), 0)


def parse_matrix(text: str) -> tuple[tuple[Expected, ...], str]:
    """The models of a matrix in JSON, and its reason ('' where it gives none). Raises BadMatrix."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadMatrix("it is no JSON") from error
    jobs = value.get("include") if isinstance(value, dict) else None
    if not isinstance(jobs, list):
        raise BadMatrix("there is no list `include` in it")
    reason = value.get("reason", "")
    return tuple(map(_expected, jobs)), reason if isinstance(reason, str) else ""


def _expected(job: object) -> Expected:
    match job:
        case {"name": str(name), "path": str(path)} if name:
            return Expected(name, path)
        case {"name": str(name)} if name:
            return Expected(name)
    raise BadMatrix("an entry of `include` has no `name`")


def find_records(places: Iterable[Path]) -> tuple[Path, ...]:
    """The files that were named, and every `result.json` in the folders that were; links are not followed."""
    found: list[Path] = []
    for place in places:
        if place.suffix == ".json" and not place.is_dir():
            found.append(place)
        else:
            found += sorted(
                path for path in place.rglob(FILE_NAME) if path.is_file() and not path.is_symlink()
            )
    return tuple(dict.fromkeys(found))


def collect(places: Sequence[Path], expected: Sequence[Expected] | None, reason: str = "") -> Overview:
    """Read the records; `expected` is None where nobody said which there must be. Raises NothingToReport."""
    paths = find_records(places)
    if not paths and expected is None:
        raise NothingToReport(places)
    runs: list[Told] = []
    unread: list[ModelOverview] = []
    for path in paths:
        try:
            runs.append(read_told(path))
        except BadRecord as error:
            unread.append(
                ModelOverview(path.name if path in places else str(path.parent.name), problem=error.what)
            )
    named = [_of(one, runs) for one in expected or ()]
    others = [run for run in runs if not any(one.has(run) for one in expected or ())]
    return Overview((*named, *_by_model(others), *unread), reason)


def _of(expected: Expected, runs: Sequence[Told]) -> ModelOverview:
    own = tuple(run for run in runs if expected.has(run))
    problem = "" if own else "it left no record: its job was cancelled, or ended before it began"
    return ModelOverview(expected.name, own, problem)


def _by_model(runs: Sequence[Told]) -> list[ModelOverview]:
    keys = sorted({(run.name, run.project) for run in runs})
    return [
        ModelOverview(
            name or project or "unknown", tuple(r for r in runs if (r.name, r.project) == (name, project))
        )
        for name, project in keys
    ]


def overview_as_json(overview: Overview) -> Json:
    """For other programs; sizes in bytes, times in seconds."""
    return {
        "result": _result(overview),
        "exit_code": overview.exit_code,
        "reason": overview.reason,
        "images": {_short(m.name): _short(m.image) for m in overview.models if m.result is Result.RELEASED},
        "models": [_model_as_json(model) for model in overview.models],
    }


def _result(overview: Overview) -> str:
    if not overview.models:
        return "nothing"
    return "failed" if overview.failed else "passed"


def _short(name: str) -> str:
    return shortened(name, _LONGEST)


def _model_as_json(model: ModelOverview) -> Json:
    return {
        "name": _short(model.name),
        "result": model.result,
        "exit_code": model.exit_code,
        "image": _short(model.image),
        "tags": list(model.tags),
        "problems": list(model.problems),
        "size": max((run.size for run in model.runs), default=0),
        "seconds": round(sum(run.seconds for run in model.runs), 3),
    }
