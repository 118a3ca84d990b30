"""A gate's report beside the image: what is written is read, and what counts for a push."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from doubles.registry_double import RegistryDouble

from ml_containerize.gates import NoGateReport, accept_report, policy, timestamp
from ml_containerize.names import Digest, Repository
from ml_containerize.oci import media
from ml_containerize.oci.descriptor import Descriptor
from ml_containerize.oci.refusals import Unavailable
from ml_containerize.oci.registry import Connect, RegistryClient
from ml_containerize.plan.decide import Plan
from ml_containerize.push.gate_report import read_gate_report, report_tag, write_gate_report
from ml_containerize.report.gates import parse_scan, parse_smoke, plain
from ml_containerize.results import Outcome, ScanReport, SmokeReport

NOW = datetime(2026, 1, 2, tzinfo=UTC)
IMAGE = Descriptor.of(b"the image's manifest", media.MANIFEST)
SMOKE = SmokeReport(Outcome.PASSED, IMAGE.digest)

Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def client(double: RegistryDouble, connect: Connect) -> RegistryClient:
    return connect(Repository(double.host, "org/digits"))


@pytest.fixture
def plan(make_plan: Callable[..., Plan], double: RegistryDouble) -> Plan:
    """A plan about the image in the registry."""
    made = make_plan(f"{double.host}/org/digits")
    image = Repository(double.host, "org/digits").at(IMAGE.digest)
    return replace(made, settings=replace(made.settings, image=image))


def kept(plan: Plan, report: SmokeReport | ScanReport = SMOKE, at: datetime = NOW) -> dict[str, Any]:
    return {"policy": policy(plan), "checked_at": timestamp(at), **plain(report)}


def test_what_was_written_is_read(client: RegistryClient, plan: Plan) -> None:
    assert read_gate_report(client, "smoke", IMAGE.digest) is None
    write_gate_report(client, "smoke", IMAGE, kept(plan))
    assert read_gate_report(client, "smoke", IMAGE.digest) == kept(plan)
    assert read_gate_report(client, "scan", IMAGE.digest) is None


def test_a_report_is_an_artifact_under_a_tag_of_the_images_digest(
    client: RegistryClient, plan: Plan, double: RegistryDouble
) -> None:
    for gate in ("smoke", "scan"):
        write_gate_report(client, gate, IMAGE, kept(plan))
    tags = {report_tag(gate, IMAGE.digest) for gate in ("smoke", "scan")}
    assert (
        set(double.tags["org/digits"])
        == tags
        == {f"sha256-{IMAGE.digest.hex}.{g}" for g in ("smoke", "scan")}
    )


def test_the_last_report_counts(client: RegistryClient, plan: Plan) -> None:
    failed = kept(plan, replace(SMOKE, outcome=Outcome.FAILED, problems=("seven is off by 0.5",)))
    for report in (kept(plan), failed):
        write_gate_report(client, "smoke", IMAGE, report)
    assert read_gate_report(client, "smoke", IMAGE.digest) == failed


def test_neither_listing_nor_deleting_is_asked_of_the_registry(
    client: RegistryClient, plan: Plan, double: RegistryDouble
) -> None:
    for _ in range(2):
        write_gate_report(client, "smoke", IMAGE, kept(plan))
    read_gate_report(client, "smoke", IMAGE.digest)
    assert not double.asked("GET", "/tags/list")
    assert not double.asked("DELETE")


def test_a_registry_that_does_not_answer_is_no_missing_report(
    client: RegistryClient, double: RegistryDouble
) -> None:
    double.fail("GET", times=99, status=503)
    with pytest.raises(Unavailable):
        read_gate_report(client, "smoke", IMAGE.digest)


@pytest.mark.parametrize("outcome", [Outcome.PASSED, Outcome.FAILED])
def test_todays_report_on_these_bytes_counts_whatever_it_says(plan: Plan, outcome: Outcome) -> None:
    report = replace(SMOKE, outcome=outcome)
    assert accept_report(kept(plan, report), "smoke", parse_smoke, plan, IMAGE.digest, NOW) == (
        report,
        "2026-01-02T00:00:00Z",
    )


def test_a_scan_is_read_as_one(plan: Plan) -> None:
    report = ScanReport(Outcome.PASSED, IMAGE.digest, counts={"LOW": 1})
    assert accept_report(kept(plan, report), "scan", parse_scan, plan, IMAGE.digest, NOW)[0] == report


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda value: value.clear(), "about None, not about"),
        (lambda value: value.update(digest=str(Digest("9" * 64))), f"about {Digest('9' * 64)}, not about"),
        (lambda value: value.update(policy="0" * 64), "other settings or with other cases"),
        (lambda value: value.update(checked_at=timestamp(NOW - timedelta(hours=25))), "not of the last day"),
        (lambda value: value.update(checked_at=timestamp(NOW + timedelta(hours=1))), "not of the last day"),
        (lambda value: value.update(checked_at=None), "not of the last day"),
        (lambda value: value.update(outcome="skipped"), "does not say whether it passed"),
        (lambda value: value.update(outcome="splendid"), "does not say whether it passed"),
        (lambda value: value.pop("outcome"), "does not say whether it passed"),
        (lambda value: value.update(cases=5), "does not say whether it passed"),
        (lambda value: value.update(cases=[{}]), "does not say whether it passed"),
    ],
)
def test_a_report_that_does_not_tell_what_asking_now_would_tell_counts_for_nothing(
    plan: Plan, change: Change, why: str
) -> None:
    value = kept(plan)
    change(value)
    with pytest.raises(NoGateReport, match=why) as refused:
        accept_report(value, "smoke", parse_smoke, plan, IMAGE.digest, NOW)
    assert refused.value.exit_code == 7
    assert f"ml-containerize smoke {plan.settings.image} --push" in refused.value.fix


def test_without_a_report_the_advice_names_the_command_to_run(plan: Plan) -> None:
    here = replace(plan, settings=replace(plan.settings, image=None))
    with pytest.raises(NoGateReport, match=f"no scan report on {IMAGE.digest}") as refused:
        accept_report(None, "scan", parse_scan, here, IMAGE.digest, NOW)
    assert "Run `ml-containerize scan` first" in refused.value.fix


@pytest.mark.parametrize("changed", [{"gpus": "all"}, {"severity": frozenset({"LOW"})}, {"scan": False}])
def test_every_job_must_ask_the_same(plan: Plan, changed: Mapping[str, Any]) -> None:
    elsewhere = replace(plan, settings=replace(plan.settings, **changed))
    with pytest.raises(NoGateReport, match="other settings"):
        accept_report(kept(elsewhere), "smoke", parse_smoke, plan, IMAGE.digest, NOW)
