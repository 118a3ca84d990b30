"""Write smoke cases by asking the model itself, in its locked environment or one that is named.

The model is loaded by the very code that serves it inside the image, so a case that later fails in the
container tells of a difference between the two environments.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ml_containerize.command import Run
from ml_containerize.console import Console
from ml_containerize.errors import UsageError
from ml_containerize.plan.chosen import choose_model
from ml_containerize.plan.settings.settings import Settings
from ml_containerize.results import Json
from ml_containerize.smoke.ask import FindPython, LocalModel
from ml_containerize.smoke.cases import BadCases, Case, Tolerance, parse_case, parse_json
from ml_containerize.smoke.compare import show_prediction
from ml_containerize.smoke.made_up import made_up_requests

REQUESTS = "requests"  # the folder of a project's own requests


class RequestsRefused(UsageError):
    """The model refuses requests that were meant to get a prediction."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__(
            "\n".join(("the model refuses these requests:", *(f"  {reason}" for reason in reasons))),
            'Correct them; to record a refusal, give a case with "request" and "status": 400.',
        )


class NoFirstCase(UsageError):
    """No request could be made up that the model answers."""

    def __init__(self, project: Path, reasons: Sequence[str]) -> None:
        tried = "".join(f"\n  {reason}" for reason in dict.fromkeys(reasons))
        super().__init__(
            f"what the model of {project} takes cannot be told from its signature"
            + (f", and it refuses what was made up:{tried}" if tried else ""),
            f"Write a request into {project / REQUESTS}/one.json, the JSON body that /predict gets, and run "
            "this again.",
        )


class CasesExist(UsageError):
    """Recording would replace cases."""

    def __init__(self, paths: Sequence[Path]) -> None:
        listed = "\n".join(f"  {path}" for path in paths)
        super().__init__(f"these cases exist already:\n{listed}", "Replace them with --force.")


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request, or an earlier case whose request is asked again, and the file for the answer."""

    case: Case
    target: Path


def record(
    settings: Settings,
    requests: Sequence[Path],
    *,
    python: FindPython,
    rtol: float,
    atol: float,
    force: bool,
    run: Run,
    console: Console,
) -> tuple[Path, ...]:
    """Ask the model each request (a JSON body, or a case to record anew) and write the cases.

    Nothing is written unless every request got the kind of answer that was wanted. Raises BadCases,
    CasesExist, RequestsRefused, RecordImpossible, and what finding the model raises.
    """
    asked = _read(requests, _folder(settings), Tolerance(rtol, atol))
    existing = [one.target for one in asked if one.target.exists()]
    if existing and not force:
        raise CasesExist(existing)
    model = _local_model(settings, python, run, console)
    cases = _answered(asked, model.answers([one.case.request for one in asked]))
    return tuple(_write(case, one.target, console) for one, case in zip(asked, cases, strict=True))


def record_first(settings: Settings, *, python: FindPython, run: Run, console: Console) -> tuple[Path, ...]:
    """Write a project's first cases: of the requests that it has, else of some made up from the signature.

    Raises NoFirstCase where the model gives none of these an answer, and what `record` raises.
    """
    if requests := sorted((settings.project / REQUESTS).glob("*.json")):
        tolerance = Tolerance()
        rtol, atol = tolerance.rtol, tolerance.atol
        return record(
            settings, requests, python=python, rtol=rtol, atol=atol, force=False, run=run, console=console
        )
    model = _local_model(settings, python, run, console)
    made_up = made_up_requests(model.signature())
    answers = dict(zip(made_up, model.answers(list(made_up.values())), strict=True)) if made_up else {}
    given = {name: answer for name, answer in answers.items() if "status" not in answer}
    if not given:
        raise NoFirstCase(settings.project, [str(answer.get("error")) for answer in answers.values()])
    cases = [Case(name, made_up[name], answer) for name, answer in given.items()]
    return tuple(_write(case, _folder(settings) / f"{case.name}.json", console) for case in cases)


def _local_model(settings: Settings, python: FindPython, run: Run, console: Console) -> LocalModel:
    chosen = choose_model(settings)
    found = python(chosen)
    console.info(f"asking {chosen.root.name} in {found}")
    return LocalModel.of(settings, chosen, found, run)


def _write(case: Case, target: Path, console: Console) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(format_case(case))
    console.info(f"{target.name}: {show_prediction(case.expect) if case.status == 200 else 'refused'}")
    return target


def _folder(settings: Settings) -> Path:
    """Where the plan will look for cases: the fixed part of its glob."""
    fixed = []
    for part in PurePosixPath(settings.smoke_cases).parent.parts:
        if re.search(r"[*?\[]", part):
            break
        fixed.append(part)
    return settings.project.joinpath(*fixed)


def _read(paths: Sequence[Path], folder: Path, tolerance: Tolerance) -> tuple[_Asked, ...]:
    asked, problems = [], []
    for path in paths:
        try:
            asked.append(_Asked(_read_request(path, tolerance), folder / f"{path.stem}.json"))
        except BadCases as error:
            problems += [f"{path.name}: {problem}" for problem in error.problems]
        except OSError as error:
            problems.append(f"{path.name}: cannot be read: {error.strerror}")
    names = [one.target.name for one in asked]
    problems += sorted(
        {f"{name}: two requests would become this case" for name in names if names.count(name) > 1}
    )
    if problems:
        raise BadCases(problems)
    return tuple(asked)


def _read_request(path: Path, tolerance: Tolerance) -> Case:
    """A bare request body, or a case: then its own tolerances and status stay."""
    content, problems = parse_json(path.read_bytes())
    if problems:
        raise BadCases(problems)
    is_case = isinstance(content, dict) and "request" in content
    whole = content if is_case else {"request": content, "rtol": tolerance.rtol, "atol": tolerance.atol}
    return parse_case(path.stem, json.dumps({"expect": {"predictions": [0]}, **whole}).encode())


def _answered(asked: Sequence[_Asked], answers: Sequence[Json]) -> list[Case]:
    cases, surprises = [], []
    for one, answer in zip(asked, answers, strict=True):
        status = int(answer.pop("status", 200))
        if status != one.case.status:
            said = answer.get("error", "a prediction")
            surprises.append(f"{one.case.name}: expected {one.case.status}, got {status}: {said}")
        cases.append(Case(one.case.name, one.case.request, answer, one.case.tolerance, status))
    if surprises:
        raise RequestsRefused(surprises)
    return cases


def format_case(case: Case) -> str:
    """A case as JSON for people: indented, each innermost list on a line of its own."""
    return f"{_format(case.as_json(), 0)}\n"


def _format(value: Any, depth: int) -> str:
    items: list[str]
    if isinstance(value, dict) and value:
        items = [f"{json.dumps(key)}: {_format(item, depth + 1)}" for key, item in value.items()]
        opening, closing = "{}"
    elif isinstance(value, list) and any(isinstance(item, list | dict) for item in value):
        items = [_format(item, depth + 1) for item in value]
        opening, closing = "[]"
    else:
        return json.dumps(value, ensure_ascii=False)
    inner, outer = "\n" + "  " * (depth + 1), "\n" + "  " * depth
    return f"{opening}{inner}{f',{inner}'.join(items)}{outer}{closing}"
