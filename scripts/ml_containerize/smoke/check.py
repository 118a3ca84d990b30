"""The smoke gate: the image runs, answers its recorded cases, and keeps its budgets."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle

from ml_containerize.command import run
from ml_containerize.console import Console
from ml_containerize.oci.config import env_of
from ml_containerize.oci.image import Image
from ml_containerize.plan.decide import Plan
from ml_containerize.plan.environment.host import runs_here
from ml_containerize.plan.settings.settings import Budgets
from ml_containerize.results import CaseResult, Outcome, SmokeReport
from ml_containerize.smoke.answered import answered, request_hash, within_bounds
from ml_containerize.smoke.cases import Case, load_cases, parse_json
from ml_containerize.smoke.client import Answer, NoAnswer
from ml_containerize.smoke.compare import compare, show_prediction
from ml_containerize.smoke.engine import Engine, ForeignPlatform, Server, StartFailed, with_engine
from ml_containerize.smoke.engines import engines
from ml_containerize.smoke.gpus import GpuRequest, parse_gpus
from ml_containerize.smoke.interface import parse_interface
from ml_containerize.smoke.measure import Measured, over_budget
from ml_containerize.smoke.readiness import Ready, ready_server

_WARM_REQUESTS = 20
_WARM_SECONDS = 10.0
_LOG_LINES = 50
_NO_CASES = (
    "there are no smoke cases: that the model predicts what it should was not checked; "
    "record some with `ml-containerize record`"
)


@dataclass(frozen=True, slots=True)
class Examination:
    """What the image is held to."""

    cases: tuple[Case, ...]
    gpus: GpuRequest
    startup_timeout: float  # seconds
    budgets: Budgets


def smoke(plan: Plan, image: Image, *, console: Console, environ: Mapping[str, str]) -> SmokeReport:
    """Run the image and ask it every case.

    A container that fails is a report, not an error. Raises BadCases, and EnvironmentMissing where no engine
    or no GPU is there to try with.
    """
    settings = plan.settings
    if not settings.smoke:
        return SmokeReport(Outcome.SKIPPED, image.digest, notices=("switched off by `smoke: false`",))
    examination = Examination(
        load_cases(plan.cases), parse_gpus(settings.gpus), settings.startup_timeout, settings.budgets
    )
    openers = engines(environ, settings.cache, run, console)
    return with_engine(
        settings.engine, openers, lambda engine: examine(engine, image, examination, console), console
    )


def examine(engine: Engine, image: Image, examination: Examination, console: Console) -> SmokeReport:
    """Start the image with one engine, ask, measure, judge."""
    console.info(f"engine: {engine.name}")
    notices = (*engine.notices, *(() if examination.cases else (_NO_CASES,)))
    report = SmokeReport(Outcome.FAILED, image.digest, engine.name, notices=notices)
    try:
        with ready_server(engine, image, examination.gpus, examination.startup_timeout) as ready:
            console.info(f"ready in {ready.startup_seconds:.1f} s, GPU: {ready.server.gpu}")
            name = env_of(image.config).get("MODEL_NAME", "")
            interface = parse_interface(ready.client.model_metadata(name)) if name else None
            report = _ask_and_judge(replace(report, interface=interface), ready, examination, console)
    except StartFailed as failure:
        if _is_foreign(image, failure):
            raise ForeignPlatform(image.platform, engine.name) from failure
        report = replace(report, problems=(failure.what,), log_tail=_tail(failure.log))
    _tell(report, console)
    return report


def _ask_and_judge(
    report: SmokeReport, ready: Ready, examination: Examination, console: Console
) -> SmokeReport:
    results = tuple(ask_cases(ready, examination.cases, console))
    problems = [f"case {result.name}: {result.problem}" for result in results if not result.passed]
    latencies: list[float] = []
    if not problems:
        problems += ask_again(ready, examination.cases, latencies.append)
    ready.memory.sample()
    measured = Measured(ready.startup_seconds, tuple(latencies), ready.memory.value)
    console.info(str(measured))
    problems = problems or over_budget(measured, examination.budgets)
    return replace(
        report,
        outcome=Outcome.FAILED if problems else Outcome.PASSED,
        gpu=ready.server.gpu,
        startup_seconds=measured.startup_seconds,
        latency_p50_ms=measured.p50_ms,
        latency_p95_ms=measured.p95_ms,
        memory_bytes=measured.memory_bytes,
        cases=within_bounds(results),
        problems=tuple(problems),
        log_tail=_tail(ready.server.log()) if problems else "",
    )


def ask_cases(ready: Ready, cases: Sequence[Case], console: Console) -> Iterator[CaseResult]:
    """Ask each case once, cold; after a case without an answer the others are not tried."""
    given_up = ""
    for case in cases:
        if given_up:
            yield CaseResult(case.name, False, 0.0, f"not asked: {given_up}")
            continue
        try:
            result = judge(case, ready.client.predict(_body(case)))
        except NoAnswer as error:
            problem = _why_no_answer(ready.server, error)
            given_up = f"case {case.name} had no answer"
            result = CaseResult(case.name, False, 0.0, problem)
        _tell_case(result, console)
        yield result


def judge(case: Case, answer: Answer) -> CaseResult:
    """Hold one answer against what was recorded."""
    content, problems = parse_json(answer.body)
    if answer.status != case.status:
        problems = [f"answered {answer.status}, expected {case.status}: {answer.excerpt}"]
    elif problems:
        problems = [f"the answer is {problems[0]}"]
    else:
        problems = compare(case.expect, content, case.tolerance)
    return CaseResult(
        case.name,
        not problems,
        answer.milliseconds,
        "; ".join(problems),
        _shown(answer, content),
        request_hash(case.request),
        case.tolerance.rtol,
        case.tolerance.atol,
        answered(answer.status, content),
    )


def _shown(answer: Answer, content: object) -> str:
    """The answer in a few words."""
    if answer.status != 200:
        return f"refused with {answer.status}"
    return show_prediction(content) if isinstance(content, dict) else ""


def ask_again(
    ready: Ready,
    cases: Sequence[Case],
    took: Callable[[float], None],
    clock: Callable[[], float] = time.monotonic,
) -> list[str]:
    """Ask the cases in turn, at least 20 times in all but for at most 10 s; `took` gets milliseconds.

    Says what went wrong: a server that answers once may still fall over.
    """
    asked = [case for case in cases if case.status == 200]
    end = clock() + _WARM_SECONDS
    for _, case in zip(range(max(_WARM_REQUESTS, len(asked))), cycle(asked), strict=False):
        if clock() > end:
            break
        try:
            answer = ready.client.predict(_body(case))
        except NoAnswer as error:
            return [f"case {case.name}, asked again: {_why_no_answer(ready.server, error)}"]
        if answer.status != case.status:
            return [f"case {case.name}, asked again, answered {answer.status}: {answer.excerpt}"]
        took(answer.milliseconds)
    return []


def _why_no_answer(server: Server, error: NoAnswer, sleep: Callable[[float], None] = time.sleep) -> str:
    """A broken connection is often the first sign of a process that is about to have ended."""
    for _ in range(10):
        if ended := server.ended():
            return f"the container {ended} while it answered"
        sleep(0.05)
    return str(error)


def _body(case: Case) -> bytes:
    return json.dumps(case.request, allow_nan=False).encode()


def _is_foreign(image: Image, failure: StartFailed) -> bool:
    text = f"{failure.what}\n{failure.log}".lower()
    return not runs_here(image.platform) and "exec format error" in text


def _tail(log: str) -> str:
    return "\n".join(log.rstrip().splitlines()[-_LOG_LINES:])


def _tell_case(result: CaseResult, console: Console) -> None:
    if result.passed:
        console.info(f"✓ {result.name}  {result.milliseconds:.1f} ms  {result.prediction}")
    else:
        console.info(f"✗ {result.name}  {result.problem}")


def _tell(report: SmokeReport, console: Console) -> None:
    for notice in report.notices:
        console.info(f"note: {notice}")
    if all(case.passed for case in report.cases):  # a failed case has been told
        for problem in report.problems:
            console.info(f"✗ {problem}")
    if report.log_tail:
        console.info("the container's log ends with:")
        for line in report.log_tail.splitlines():
            console.info(f"  │ {line}")
