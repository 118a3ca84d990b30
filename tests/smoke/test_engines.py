"""Both engines on a real base image: what a container may do, how it fails, and that nothing is left."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ml_containerize.command import run
from ml_containerize.console import Console
from ml_containerize.plan.settings.settings import Budgets
from ml_containerize.results import Outcome, SmokeReport
from ml_containerize.smoke.cases import Case
from ml_containerize.smoke.check import Examination, examine
from ml_containerize.smoke.embedded_engine import free_port, open_embedded
from ml_containerize.smoke.engine import Engine, PortTaken
from ml_containerize.smoke.gpus import GpuMissing, GpuRequest, find_gpus, parse_gpus
from ml_containerize.smoke.readiness import ready_server

pytestmark = pytest.mark.e2e

NO_GPU = GpuRequest("none")
CASES = (
    Case("sum", {"data": [[1.0, 2.0]]}, {"predictions": [[3.0]], "labels": ["sum"]}),
    Case("refused", {"data": "three"}, {"error": "data must be a list"}, status=400),
)


def examined(
    engine: Engine, image: Any, console: Console, timeout: float = 20, **budgets: float
) -> SmokeReport:
    return examine(engine, image, Examination(CASES, NO_GPU, timeout, Budgets(**budgets)), console)


def test_a_good_image_answers_its_cases_and_is_measured(
    any_engine: Engine, make_image: Any, console: Console
) -> None:
    image = make_image()
    report = examined(any_engine, image, console)
    assert report.outcome is Outcome.PASSED, report
    assert report.digest == image.digest
    assert [(case.name, case.passed, case.prediction) for case in report.cases] == [
        ("sum", True, '"sum"'),
        ("refused", True, "refused with 400"),
    ]
    assert report.startup_seconds is not None
    assert 0 < report.startup_seconds < 20
    assert report.latency_p50_ms is not None
    assert report.latency_p95_ms is not None
    assert 0 < report.latency_p50_ms <= report.latency_p95_ms < 1000
    assert report.memory_bytes is not None
    assert 2 * 2**20 < report.memory_bytes < 500 * 2**20


def test_a_container_may_do_nothing_but_serve(any_engine: Engine, make_image: Any) -> None:
    image = make_image(env={"SECRET_OF_THE_IMAGE": "1"})
    os.environ["SECRET_OF_THE_HOST"] = "1"
    with ready_server(any_engine, image, NO_GPU, 20) as ready:
        facts = ready.client.describe()
    assert (facts["uid"], facts["gid"], facts["cwd"]) == (65532, 65532, "/opt/faulty")
    assert facts["writable"] == ["/tmp", "/dev/shm"]
    assert facts["capabilities"] == 0
    assert facts["no_new_privileges"]
    assert not facts["user_namespaces"]
    assert facts["processes"] == [1]
    assert "SECRET_OF_THE_IMAGE" in facts["env"]
    assert "SECRET_OF_THE_HOST" not in facts["env"]
    assert facts["files"] == ["/opt/faulty/server.py"]


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        ("exits", "the container exited with status 1 after"),
        ("deaf", "was not ready within 2 s: nothing answers on its port"),
        ("hangs", "was not ready within 2 s: it accepts connections but does not answer GET /readyz"),
        ("never-ready", 'was not ready within 2 s: GET /readyz answers 503: {"status": "the weights are'),
    ],
)
def test_a_container_that_never_gets_ready_fails_with_its_log(
    any_engine: Engine, make_image: Any, console: Console, fault: str, problem: str
) -> None:
    report = examined(any_engine, make_image(fault), console, timeout=2)
    assert report.outcome is Outcome.FAILED
    assert problem in report.problems[0]
    assert "loading the model" in report.log_tail
    assert "│ loading the model" in console.stream.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        ("dies", "case sum: the container exited with status 3 while it answered"),
        ("wrong", "case sum: predictions[0][0] is 3.25, expected 3: off by 0.25 where 0.000301 is allowed"),
        ("no-json", "case sum: the answer is not JSON at line 1, column 1: Expecting value"),
    ],
)
def test_a_container_that_answers_wrongly_fails_and_says_where(
    any_engine: Engine, make_image: Any, console: Console, fault: str, problem: str
) -> None:
    report = examined(any_engine, make_image(fault), console)
    assert report.outcome is Outcome.FAILED
    assert report.problems[0] == problem
    assert report.log_tail


def test_a_command_that_is_not_in_the_image_fails_and_says_so(
    any_engine: Engine, make_image: Any, console: Console
) -> None:
    report = examined(any_engine, make_image("no-command", command=("/opt/missing",)), console)
    assert report.outcome is Outcome.FAILED
    assert "/opt/missing" in f"{report.problems} {report.log_tail}"


def test_budgets_that_are_exceeded_refuse(any_engine: Engine, make_image: Any, console: Console) -> None:
    budgets = {"latency_p95_ms": 1e-6, "startup_seconds": 1e-6, "memory_mb": 1e-6}
    report = examined(any_engine, make_image(), console, **budgets)
    assert report.outcome is Outcome.FAILED
    assert [problem.split(" is ")[0] for problem in report.problems] == [
        "start-up",
        "p95 latency",
        "peak memory",
    ]


def test_the_port_that_a_person_asks_for_is_used(any_engine: Engine, make_image: Any) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with ready_server(any_engine, make_image(), NO_GPU, 20, port) as ready:
        assert ready.server.url == f"http://127.0.0.1:{port}"


def test_a_port_that_is_taken_is_told(any_engine: Engine, make_image: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(PortTaken, match=f"port {port}"),
            ready_server(any_engine, make_image(), NO_GPU, 20, port),
        ):
            pass


def test_a_port_that_another_program_took_meanwhile_is_given_up_for_another(
    rootfs: Path, make_image: Any, console: Console
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = iter([taken.getsockname()[1], free_port()])
        engine = replace(open_embedded(rootfs, run, console), pick_port=lambda: next(ports))
        with ready_server(engine, make_image(), NO_GPU, 20) as ready:
            assert str(taken.getsockname()[1]) not in ready.server.url


@pytest.mark.skipif(bool(find_gpus()), reason="this machine has a GPU")
def test_a_gpu_that_is_asked_for_and_absent_is_told(any_engine: Engine, make_image: Any) -> None:
    with (
        pytest.raises(GpuMissing) as caught,
        ready_server(any_engine, make_image(), parse_gpus("all"), 20),
    ):
        pass
    assert caught.value.exit_code == 8


@pytest.mark.skipif(bool(find_gpus()), reason="this machine has a GPU")
def test_without_a_gpu_auto_uses_none_and_says_so(any_engine: Engine, make_image: Any) -> None:
    with ready_server(any_engine, make_image(), parse_gpus("auto"), 20) as ready:
        assert ready.server.gpu == "none"
