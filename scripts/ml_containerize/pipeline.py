"""The product's sentence as one function: plan → build → smoke and scan → compare → decide → push."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ml_containerize.build.direct import build, predict_image
from ml_containerize.comparing import compare_with_previous, tell
from ml_containerize.errors import ContainerizeError, PlanError, ScanError, SmokeError, UsageError
from ml_containerize.gates import decide, gate_name, is_fresh, make_proof, policy, reports_of, timestamp
from ml_containerize.oci.find import resolve_base
from ml_containerize.oci.image import Image
from ml_containerize.oci.registry import Connect
from ml_containerize.plan.decide import Plan
from ml_containerize.plan.decide import decide as decide_plan
from ml_containerize.plan.settings.settings import Settings
from ml_containerize.push.proof import Proof, read_proof
from ml_containerize.push.publish import push
from ml_containerize.report.gates import reused, write_report
from ml_containerize.results import Comparison, Decision, Outcome, ScanReport, SmokeReport
from ml_containerize.scan.check import scan
from ml_containerize.smoke.cases import load_cases
from ml_containerize.smoke.check import smoke
from ml_containerize.tools import Tools
from ml_containerize.trail import Trail

_Report = TypeVar("_Report")


class NoSmokeCases(PlanError):
    """The smoke test is on, and nothing was recorded that it could ask."""


class SmokeRefused(SmokeError):
    """The image did not answer as recorded."""


class ScanRefused(ScanError):
    """The policy does not accept what the scanner found."""


class ChangeRefused(SmokeError):
    """Predictions moved, or clients of the image in use would break, and nobody said that it was meant."""

    title = "compare"


class OneStageOnly(UsageError):
    """An option that hands an image from one job to the next was given to the whole job."""

    def __init__(self) -> None:
        super().__init__(
            "`run` does every stage itself; `push-by-digest` is for `build`, an image for later stages",
            "Leave them out, or name the stage, such as `command: build`.",
        )


def run_pipeline(settings: Settings, tools: Tools, trail: Trail) -> None:
    """The whole job. What was reached is in `trail`, also when an error ends it."""
    if settings.push_by_digest or settings.image:
        raise OneStageOnly
    connect = tools.connect(settings)
    plan = make_plan(settings, tools, connect, trail)
    require_cases(plan)
    proof = _build(plan, tools, connect, trail)
    image = trail.known_image
    smoke_report, scan_report = _check(plan, image, proof, tools, trail)
    comparison = run_compare(plan, image, smoke_report, scan_report, tools, connect, trail)
    decision = trail.decision = decide(smoke_report, scan_report, comparison)
    if settings.push and decision.accepted:
        proof = proof or make_proof(plan, smoke_report, scan_report, timestamp(tools.now()))
        publish(plan, image, decision, proof, tools, connect, trail)
    refuse_unless(decision, smoke_report, scan_report, comparison)


def make_plan(settings: Settings, tools: Tools, connect: Connect, trail: Trail) -> Plan:
    with trail.stage("plan", str(settings.project)):
        plan = decide_plan(
            settings,
            environ=tools.environ,
            run=tools.run,
            resolve_base=lambda where, platform: resolve_base(where, platform, connect),
            console=tools.console,
        )
        tools.console.info(f"model {plan.model.hash.short} ({plan.model.format}), tag {plan.identity}")
        if settings.smoke:
            load_cases(plan.cases)  # a case that cannot be asked is told before any work
    trail.plan = plan
    return plan


def require_cases(plan: Plan) -> None:
    """An image that was never asked for a prediction is not proved, unless that is what the user says."""
    if plan.settings.smoke and not plan.cases:
        raise NoSmokeCases(
            f"{plan.settings.project} has no smoke case ({plan.settings.smoke_cases})",
            "Record one with `ml-containerize record`, or set `smoke: false` to publish without any.",
        )


def _build(plan: Plan, tools: Tools, connect: Connect, trail: Trail) -> Proof | None:
    """The image, and the proof of its gates where the registry already holds a fresh one."""
    with trail.stage("build", f"{plan.name} on {plan.environment.base.name}"):
        known = predict_image(plan, connect=connect, console=tools.console) if plan.settings.push else None
        proof = _find_proof(plan, known, tools, connect) if known else None
        if known and proof:
            tools.console.info(f"{known.digest} was built and proved at {proof.checked_at}")
            trail.image = known
            return proof
        trail.image = build(
            plan, connect=connect, run=tools.run, console=tools.console, environ=tools.environ
        )
    return None


def _find_proof(plan: Plan, image: Image, tools: Tools, connect: Connect) -> Proof | None:
    """The proof that every repository holds: same bytes, same policy, young enough."""
    asked = policy(plan)
    proofs = [read_proof(connect(repository), image.digest) for repository in plan.settings.images]
    fresh = [p for p in proofs if p and p.policy == asked and is_fresh(p.checked_at, tools.now())]
    return fresh[0] if proofs and len(fresh) == len(proofs) and all(map(reports_of, fresh)) else None


def _check(
    plan: Plan, image: Image, proof: Proof | None, tools: Tools, trail: Trail
) -> tuple[SmokeReport, ScanReport]:
    found = reports_of(proof) if proof else None
    if proof and found:
        trail.smoke, trail.scan = reused(found[0]), reused(found[1])
        for report in (trail.smoke, trail.scan):
            write_report(plan.settings.output, gate_name(report), proof.policy, proof.checked_at, report)
        return trail.smoke, trail.scan
    return check_gates(
        lambda: run_smoke(plan, image, tools, trail), lambda: run_scan(plan, image, tools, trail)
    )


def check_gates(
    smoke_gate: Callable[[], SmokeReport], scan_gate: Callable[[], ScanReport]
) -> tuple[SmokeReport, ScanReport]:
    """Run both gates before any error of either is raised, so that both report."""
    errors: list[ContainerizeError] = []

    def attempt(gate: Callable[[], _Report]) -> _Report | None:
        try:
            return gate()
        except ContainerizeError as error:
            errors.append(error)
            return None

    smoke_report, scan_report = attempt(smoke_gate), attempt(scan_gate)
    if smoke_report is None or scan_report is None:
        raise errors[0]
    return smoke_report, scan_report


def run_smoke(plan: Plan, image: Image, tools: Tools, trail: Trail) -> SmokeReport:
    with trail.stage("smoke", f"{len(plan.cases)} recorded cases"):
        report = trail.smoke = smoke(plan, image, console=tools.console, environ=tools.environ)
    write_report(plan.settings.output, "smoke", policy(plan), timestamp(tools.now()), report)
    return report


def run_scan(plan: Plan, image: Image, tools: Tools, trail: Trail) -> ScanReport:
    with trail.stage("scan", ", ".join(plan.settings.scanners)):
        report = trail.scan = scan(plan, image, run=tools.run, console=tools.console, environ=tools.environ)
    write_report(plan.settings.output, "scan", policy(plan), timestamp(tools.now()), report)
    return report


def run_compare(
    plan: Plan,
    image: Image,
    smoke_report: SmokeReport,
    scan_report: ScanReport,
    tools: Tools,
    connect: Connect,
    trail: Trail,
) -> Comparison | None:
    """What the image changes for those who use the previous one, where there is one to compare with."""
    if plan.previous is None:
        return None
    with trail.stage("compare", plan.previous.where):
        found = compare_with_previous(plan, plan.previous, image, smoke_report, scan_report, connect)
        trail.comparison = found
        tell(found, tools.console)
    return found


def publish(
    plan: Plan, image: Image, decision: Decision, proof: Proof, tools: Tools, connect: Connect, trail: Trail
) -> None:
    with trail.stage("push", ", ".join(map(str, plan.settings.images))):
        trail.releases = push(plan, image, decision, proof=proof, connect=connect, console=tools.console)


def refuse_unless(decision: Decision, *reports: SmokeReport | ScanReport | Comparison | None) -> None:
    """Raise for a refusal; the exit code is the first gate's that refused."""
    if decision.accepted:
        return
    what = "\n".join(("the image was refused; nothing was tagged", *decision.reasons))
    first = next(report for report in reports if report and report.outcome is Outcome.FAILED)
    if isinstance(first, Comparison):
        raise ChangeRefused(
            what,
            "If this was meant, say so: `predictions: may-change` for predictions that moved, "
            "`interface: may-change` for clients that break.",
        )
    cause = SmokeRefused if isinstance(first, SmokeReport) else ScanRefused
    raise cause(what, "Each line above names its gate; the report in the output folder has the details.")
