from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from doubles.images import LINUX, publish, write_image
from doubles.registry_double import RegistryDouble
from doubles.registry_fixtures import MakeDouble, double, make_double, waits

from ml_containerize.comparing import (
    NothingToCompare,
    compare_images,
    compare_with_previous,
    read_side,
)
from ml_containerize.names import Repository
from ml_containerize.oci.credentials import Credentials
from ml_containerize.oci.image import Image
from ml_containerize.oci.registry import Connect, connector
from ml_containerize.plan.decide import Plan
from ml_containerize.plan.previous import Previous
from ml_containerize.push.proof import Proof, write_proof
from ml_containerize.report.gates import plain
from ml_containerize.results import (
    Answered,
    CaseResult,
    Comparison,
    Interface,
    Outcome,
    ScanReport,
    SmokeReport,
    Tensor,
)

__all__ = ["double", "make_double", "waits"]

NAME = "org/digits"
SCAN = ScanReport(Outcome.PASSED)

Compare = Callable[..., Comparison]


def smoke(value: float) -> SmokeReport:
    case = CaseResult("seven", True, 1.0, request="r", answered=Answered(200, "f", 1, (value,)))
    interface = Interface((Tensor("x", "FP32", (-1,)),), (Tensor("y", "FP32", (-1,)),))
    return SmokeReport(Outcome.PASSED, cases=(case,), interface=interface)


@pytest.fixture
def connect(waits: list[float]) -> Connect:
    return connector(Credentials(), sleep=waits.append)


@pytest.fixture
def make_image(tmp_path: Path) -> Callable[[bytes], Image]:
    return lambda model: write_image(
        tmp_path / f"layout-{model.decode()}",
        {"bin/sh": b"base"},
        {"opt/ml/model": model},
        kinds=("", "model"),
        labels={"io.ml-containerize.model.hash": model.decode()},
    )


@pytest.fixture
def compared(make_image: Callable[[bytes], Image], connect: Connect) -> Compare:
    """What a run says of its own image, whose one case was answered with 2.0."""

    def run(where: str, *, required: bool = False, unknown: str = "", **words: str) -> Comparison:
        settings = {"predictions": "must-match", "interface": "compatible", **words}
        plan = cast("Plan", SimpleNamespace(settings=SimpleNamespace(**settings)))
        previous = Previous(where, required, unknown)
        return compare_with_previous(plan, previous, make_image(b"new"), smoke(2.0), SCAN, connect)

    return run


def released(image: Image, double: RegistryDouble, connect: Connect, report: Any) -> str:
    """Publish an image as `main`, with what its gates found beside it."""
    publish(image, double, NAME, "main")
    proof = Proof("policy", "2026-01-01T00:00:00Z", report, plain(SCAN))
    write_proof(connect(Repository(double.host, NAME)), image.descriptor, proof)
    double.seen.clear()
    return f"{double.host}/{NAME}:main"


def test_the_previous_image_is_read_with_its_proof_and_without_its_layers(
    make_image: Callable[[bytes], Image], double: RegistryDouble, connect: Connect, compared: Compare
) -> None:
    image = make_image(b"old")
    where = released(image, double, connect, plain(smoke(1.0)))
    found = compared(where)
    assert found.before == f"{where}@{image.digest}"
    assert (found.outcome, found.compared, found.moved[0].absolute) == (Outcome.FAILED, 1, 1.0)
    assert found.headline == "model changed, same size"
    asked = {seen.path.rpartition("/")[2] for seen in double.asked("GET", "/blobs/")}
    assert str(image.manifest.config.digest) in asked
    assert not asked & {str(layer.digest) for layer in image.manifest.layers}


def test_with_the_word_the_same_move_passes(
    make_image: Callable[[bytes], Image], double: RegistryDouble, connect: Connect, compared: Compare
) -> None:
    where = released(make_image(b"old"), double, connect, plain(smoke(1.0)))
    found = compared(where, predictions="may-change")
    assert (found.outcome, len(found.moved)) == (Outcome.PASSED, 1)


@pytest.mark.parametrize("report", [{}, {"outcome": "maybe"}, {"outcome": "passed", "cases": [7]}])
def test_a_proof_of_another_form_is_no_proof(
    make_image: Callable[[bytes], Image],
    double: RegistryDouble,
    connect: Connect,
    compared: Compare,
    report: Any,
) -> None:
    found = compared(released(make_image(b"old"), double, connect, report))
    assert found.outcome is Outcome.PASSED
    assert any("no smoke report on" in notice for notice in found.notices)


def test_a_proof_of_an_older_version_has_no_answers_to_compare(
    make_image: Callable[[bytes], Image], double: RegistryDouble, connect: Connect, compared: Compare
) -> None:
    older = {"outcome": "passed", "cases": [{"name": "seven", "passed": True, "milliseconds": 1.0}]}
    found = compared(released(make_image(b"old"), double, connect, older))
    assert (found.outcome, found.compared) == (Outcome.PASSED, 0)
    assert any("no prediction was compared" in notice for notice in found.notices)


def test_without_a_published_image_a_search_is_a_notice_and_a_name_is_exit_8(
    double: RegistryDouble, compared: Compare
) -> None:
    where = f"{double.host}/{NAME}:main"
    found = compared(where)
    assert found.outcome is Outcome.SKIPPED
    assert found.notices == (f"not compared: no image is published as {where} yet",)
    with pytest.raises(NothingToCompare, match="does not exist") as missing:
        compared(where, required=True)
    assert missing.value.exit_code == 8


def test_a_registry_that_does_not_let_a_fork_in_is_a_notice(
    make_double: MakeDouble, compared: Compare
) -> None:
    private = make_double(auth="basic", users={"ada": "secret"})
    found = compared(f"{private.host}/{NAME}:main")
    assert found.outcome is Outcome.SKIPPED
    assert "wants a login" in found.notices[0]


def test_a_registry_that_is_down_is_a_notice_too(double: RegistryDouble, compared: Compare) -> None:
    double.fail("GET", times=99, status=503)
    assert compared(f"{double.host}/{NAME}:main").outcome is Outcome.SKIPPED


def test_where_no_image_could_be_named_the_reason_is_told(compared: Compare) -> None:
    assert compared("", unknown="no images").notices == ("not compared: no images",)


def test_layout_folders_are_compared_without_proofs(
    make_image: Callable[[bytes], Image], connect: Connect
) -> None:
    old, new = (str(make_image(model).content.layout.path) for model in (b"old", b"new"))
    found = compare_images(old, new, LINUX, connect)
    assert found.before == old
    assert found.differences
    assert [change.name for change in found.differences.model] == ["hash"]
    assert "no smoke report on" in found.notices[0]


def test_a_gate_that_was_off_told_nothing_of_the_answers(
    make_image: Callable[[bytes], Image], double: RegistryDouble, connect: Connect
) -> None:
    skipped = replace(smoke(1.0), outcome=Outcome.SKIPPED)
    where = released(make_image(b"old"), double, connect, plain(skipped))
    assert read_side(where, LINUX, connect).smoke is None
