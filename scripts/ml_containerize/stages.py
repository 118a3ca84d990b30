"""The stages one at a time: on one machine through the layout, or in several jobs through a registry."""

from __future__ import annotations

from dataclasses import replace

from ml_containerize.build.direct import build, open_built
from ml_containerize.build.published import open_published, recover_environment
from ml_containerize.errors import UsageError
from ml_containerize.gates import accept_report, decide, gate_name, make_proof, timestamp
from ml_containerize.oci.image import Image
from ml_containerize.oci.registry import Connect
from ml_containerize.pipeline import (
    make_plan,
    publish,
    refuse_unless,
    require_cases,
    run_compare,
    run_scan,
    run_smoke,
)
from ml_containerize.plan.decide import Plan
from ml_containerize.plan.settings.settings import Settings
from ml_containerize.push.gate_report import read_gate_report, write_gate_report
from ml_containerize.push.publish import push_by_digest
from ml_containerize.report.gates import parse_scan, parse_smoke, read_report, reused
from ml_containerize.results import Json, Outcome, ScanReport, SmokeReport
from ml_containerize.tools import Tools
from ml_containerize.trail import Trail


class BuildsItsOwn(UsageError):
    """An image was named to a command that makes one."""

    def __init__(self) -> None:
        super().__init__("`build` makes an image, and takes none", "Name it to `smoke`, `scan` or `push`.")


def build_image(settings: Settings, tools: Tools, trail: Trail) -> None:
    """Plan and build; the layout holds the image afterwards, and by `push-by-digest` the registry, too."""
    if settings.image:
        raise BuildsItsOwn
    connect = tools.connect(settings)
    plan = make_plan(settings, tools, connect, trail)
    with trail.stage("build", f"{plan.name} on {plan.environment.base.name}"):
        image = trail.image = build(
            plan, connect=connect, run=tools.run, console=tools.console, environ=tools.environ
        )
    if settings.push_by_digest:
        with trail.stage("push", f"{image.digest} without a tag"):
            trail.releases = push_by_digest(plan, image, connect=connect, console=tools.console)


def smoke_image(settings: Settings, tools: Tools, trail: Trail) -> None:
    """Ask the image its recorded cases and keep the report for `push`."""
    connect = tools.connect(settings)
    plan, image = _open(settings, tools, connect, trail)
    require_cases(plan)
    _conclude(plan, image, run_smoke(plan, image, tools, trail), connect, trail)


def scan_image(settings: Settings, tools: Tools, trail: Trail) -> None:
    """Scan the image and keep the report for `push`."""
    connect = tools.connect(settings)
    plan, image = _open(settings, tools, connect, trail)
    _conclude(plan, image, run_scan(plan, image, tools, trail), connect, trail)


def push_image(settings: Settings, tools: Tools, trail: Trail) -> None:
    """Publish and tag the image, if the kept reports say that every gate passed these very bytes."""
    connect = tools.connect(settings)
    plan, image = _open(replace(settings, push=True), tools, connect, trail)
    smoke_report, scan_report, checked_at = _kept(plan, image, tools, connect, trail)
    comparison = run_compare(plan, image, smoke_report, scan_report, tools, connect, trail)
    decision = trail.decision = decide(smoke_report, scan_report, comparison)
    refuse_unless(decision, smoke_report, scan_report, comparison)
    if settings.image:
        recover_environment(plan, image, connect=connect, console=tools.console)
    proof = make_proof(plan, smoke_report, scan_report, checked_at)
    publish(plan, image, decision, proof, tools, connect, trail)


def _open(settings: Settings, tools: Tools, connect: Connect, trail: Trail) -> tuple[Plan, Image]:
    """The plan, and the image that was named, otherwise the layout's; it must be the one of the plan."""
    plan = make_plan(settings, tools, connect, trail)
    if settings.image:
        trail.image = open_published(plan, settings.image, connect=connect)
    else:
        trail.image = open_built(plan, connect=connect, console=tools.console)
    return plan, trail.image


def _conclude(
    plan: Plan, image: Image, report: SmokeReport | ScanReport, connect: Connect, trail: Trail
) -> None:
    """Leave the report beside a published image, whatever it says, before a refusal ends the run."""
    published, gate = plan.settings.image, gate_name(report)
    kept = read_report(plan.settings.output, gate)
    if published and plan.settings.push and kept and report.outcome is not Outcome.SKIPPED:
        write_gate_report(connect(published.repository), gate, image.descriptor, kept)
    decision = trail.decision = decide(report)
    refuse_unless(decision, report)


def _kept(
    plan: Plan, image: Image, tools: Tools, connect: Connect, trail: Trail
) -> tuple[SmokeReport, ScanReport, str]:
    """What `smoke` and `scan` left, and when the older was made; a gate that is off says so itself."""
    now, times = tools.now(), []
    if plan.settings.smoke:
        left = _left(plan, image, "smoke", connect)
        report, at = accept_report(left, "smoke", parse_smoke, plan, image.digest, now)
        trail.smoke = reused(report)
        times.append(at)
    if plan.settings.scan:
        left = _left(plan, image, "scan", connect)
        found, at = accept_report(left, "scan", parse_scan, plan, image.digest, now)
        trail.scan = reused(found)
        times.append(at)
    return (
        trail.smoke or run_smoke(plan, image, tools, trail),
        trail.scan or run_scan(plan, image, tools, trail),
        min(times, default=timestamp(now)),
    )


def _left(plan: Plan, image: Image, gate: str, connect: Connect) -> Json | None:
    """A gate's report, beside the published image or in the output folder."""
    published = plan.settings.image
    if published is None:
        return read_report(plan.settings.output, gate)
    return read_gate_report(connect(published.repository), gate, image.digest)
