"""Write smoke cases by asking the model itself, in the Python environment that it was trained in.

The model is loaded by the very code that serves it inside the image, so a case that later fails in the
container tells of a difference between the two environments.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ml_containerize.command import Completed, Run
from ml_containerize.console import Console
from ml_containerize.errors import EnvironmentMissing, UsageError
from ml_containerize.plan.chosen import choose_model
from ml_containerize.plan.runtimes import server_variables
from ml_containerize.plan.serving import serving_folder
from ml_containerize.plan.settings import Settings
from ml_containerize.results import Json
from ml_containerize.smoke.cases import BadCases, Case, Tolerance, parse_case, parse_json
from ml_containerize.smoke.compare import show_prediction

_LOADING_SECONDS = 600.0
_SHOWN_LINES = 15
# The folder replaces the caller's working directory, whose files could stand in for modules of the same name.
_START = """\
import json, os, runpy, sys
sys.path[0], variables, *sys.argv[1:] = sys.argv[1:]
os.environ.update(json.loads(variables))
runpy.run_module("serving", run_name="__main__", alter_sys=True)
"""


class RecordImpossible(EnvironmentMissing):
    """The Python environment that was named cannot load the model."""

    def __init__(self, python: Path, reason: str) -> None:
        super().__init__(
            f"{python} could not answer with the model:\n{reason}",
            "Name the Python that the model was trained with: --python venv/bin/python. "
            "It needs what loads the model (tensorflow, onnxruntime, scikit-learn with skops, …).",
        )


class RequestsRefused(UsageError):
    """The model refuses requests that were meant to get a prediction."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__(
            "\n".join(("the model refuses these requests:", *(f"  {reason}" for reason in reasons))),
            'Correct them; to record a refusal, give a case with "request" and "status": 400.',
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
    python: Path,
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
    chosen = choose_model(settings)
    variables = server_variables(settings.name, chosen.format, settings.backend, settings.allow_pickle)
    console.info(f"asking {chosen.root.name} in {python}")
    variables |= {"MODEL_PATH": str(chosen.root)}
    answers = ask_model(variables, [one.case.request for one in asked], python, run)
    cases = _answered(asked, answers)
    for one, case in zip(asked, cases, strict=True):
        one.target.parent.mkdir(parents=True, exist_ok=True)
        one.target.write_text(format_case(case))
        console.info(
            f"{one.target.name}: {show_prediction(case.expect) if case.status == 200 else 'refused'}"
        )
    return tuple(one.target for one in asked)


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


def ask_model(variables: Mapping[str, str], requests: Sequence[Json], python: Path, run: Run) -> list[Json]:
    """The answers of `python -m serving predict`, one JSON line for each request; raises RecordImpossible.

    `variables` go over the caller's own environment, as they do in the image.
    """
    lines = "".join(f"{json.dumps(request)}\n" for request in requests)
    with tempfile.TemporaryDirectory(prefix="ml-containerize-") as folder:
        (Path(folder) / "serving").symlink_to(serving_folder(), target_is_directory=True)
        argv = [str(python), "-c", _START, folder, json.dumps(dict(variables)), "predict"]
        try:
            done = run(argv, stdin=lines, timeout=_LOADING_SECONDS)
        except (OSError, TimeoutError) as error:
            raise RecordImpossible(python, f"  {error}") from error
    answers = [answer for line in done.stdout.splitlines() if (answer := _parse_answer(line)) is not None]
    if not done.ok or len(answers) != len(requests):
        raise RecordImpossible(python, _last_words(done))
    return answers


def _parse_answer(line: str) -> Json | None:
    """An answer; None for what a framework printed in between."""
    content, problems = parse_json(line.encode())
    return content if not problems and isinstance(content, dict) else None


def _last_words(done: Completed) -> str:
    """The end of what it complained of; of a traceback, the exception."""
    lines = (done.stderr or done.stdout or f"it ended with status {done.status}").strip().splitlines()
    shown = 1 if any(line.startswith("Traceback ") for line in lines) else _SHOWN_LINES
    return "\n".join(f"  {line}" for line in lines[-shown:])


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
