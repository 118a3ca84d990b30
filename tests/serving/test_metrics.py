from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import prometheus_client.values
import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from serving.metrics import FOLDER, Metrics, ModelInfo

INFO = ModelInfo("digits", "3", "keras", "sha256:abc", "def", "ghi", "cpu")


@pytest.fixture
def metrics(monkeypatch: pytest.MonkeyPatch) -> Metrics:
    """Metrics of a server with one worker."""
    monkeypatch.delenv(FOLDER, raising=False)
    monkeypatch.setattr(prometheus_client.values, "ValueClass", prometheus_client.values.ValueClass)
    return Metrics.create()


def page(metrics: Metrics) -> dict[str, Metric]:
    body, _ = metrics.render()
    return {family.name: family for family in parse_text(body.decode())}


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    """The one sample of that name and these labels, among others."""
    found = [
        sample.value
        for family in page(metrics).values()
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    assert len(found) < 2
    return found[0] if found else None


def test_requests_are_counted_by_door_and_status(metrics: Metrics) -> None:
    for status in (200, 200, 400):
        metrics.began()
        metrics.ended("v1", status, 0.003)
    assert value(metrics, "mlc_requests_total", door="v1", status="200") == 2
    assert value(metrics, "mlc_requests_total", door="v1", status="400") == 1
    assert value(metrics, "mlc_request_seconds_count", door="v1") == 3
    assert value(metrics, "mlc_request_seconds_bucket", door="v1", le="0.0025") == 0
    assert value(metrics, "mlc_request_seconds_bucket", door="v1", le="0.005") == 3


def test_errors_are_counted_by_reason(metrics: Metrics) -> None:
    for reason in ("bad_request", "queue_full", "queue_full", ""):
        metrics.began()
        metrics.ended("predict", 503 if reason else 200, 0.001, reason)
    assert [sample.labels for sample in page(metrics)["mlc_errors"].samples] == [
        {"reason": "bad_request"},
        {"reason": "queue_full"},
    ]
    assert value(metrics, "mlc_errors_total", reason="queue_full") == 2


def test_requests_under_way_are_those_that_have_no_answer_yet(metrics: Metrics) -> None:
    metrics.began()
    metrics.began()
    metrics.ended("predict", 200, 0.001)
    assert value(metrics, "mlc_in_flight") == 1


def test_a_batch_tells_its_rows_tasks_time_and_waits(metrics: Metrics) -> None:
    metrics.batch(12, 0.02, [0.001, 0.004])
    assert value(metrics, "mlc_batch_rows_sum") == 12
    assert value(metrics, "mlc_batch_tasks_sum") == 2
    assert value(metrics, "mlc_model_seconds_sum") == 0.02
    assert value(metrics, "mlc_queue_seconds_count") == 2
    assert value(metrics, "mlc_queue_seconds_sum") == 0.005


def test_the_queue_is_looked_at_when_the_page_is_asked_for(metrics: Metrics) -> None:
    queue = ["a task"]
    metrics.watch_queue(lambda: len(queue))
    assert value(metrics, "mlc_queue_tasks") == 1
    queue *= 5
    assert value(metrics, "mlc_queue_tasks") == 5


@pytest.mark.parametrize("amount", [0.0, 0.0004, 0.0005, 0.00051, 0.03, 30.0, 31.0, 1e9])
def test_a_value_is_in_the_bucket_whose_bound_it_does_not_exceed(metrics: Metrics, amount: float) -> None:
    metrics.batch(1, amount, [amount, amount])
    for name, count in (("mlc_model_seconds", 1), ("mlc_queue_seconds", 2)):
        buckets = [sample for sample in page(metrics)[name].samples if sample.name.endswith("_bucket")]
        assert len(buckets) == 16
        assert all(sample.value == count * (amount <= float(sample.labels["le"])) for sample in buckets)


def test_the_model_is_ready_from_when_it_is_loaded(metrics: Metrics) -> None:
    assert value(metrics, "mlc_model_ready") == 0
    metrics.ready(INFO, 1.5)
    assert value(metrics, "mlc_model_ready") == 1
    assert value(metrics, "mlc_model_load_seconds") == 1.5


def test_the_model_names_where_it_comes_from(metrics: Metrics) -> None:
    metrics.ready(INFO, 1.5)
    (sample,) = page(metrics)["mlc_model_info"].samples
    assert sample.value == 1
    assert sample.labels == {
        "name": "digits",
        "version": "3",
        "format": "keras",
        "model_hash": "sha256:abc",
        "git_sha": "def",
        "environment_key": "ghi",
        "device": "cpu",
    }


def test_lost_log_lines_are_counted(metrics: Metrics) -> None:
    assert value(metrics, "mlc_log_lines_dropped_total", log="access") == 0
    metrics.lost_lines("access", 3)
    assert value(metrics, "mlc_log_lines_dropped_total", log="access") == 3


def test_the_process_tells_its_memory_and_processor_time(metrics: Metrics) -> None:
    resident = value(metrics, "process_resident_memory_bytes")
    status = Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0]
    assert resident is not None
    assert resident == pytest.approx(int(status) * 1024, rel=0.2)
    assert value(metrics, "process_cpu_seconds_total")


def test_two_servers_in_one_process_do_not_count_for_each_other(metrics: Metrics) -> None:
    Metrics.create().lost_lines("access", 3)
    assert value(metrics, "mlc_log_lines_dropped_total", log="access") == 0


@pytest.mark.parametrize("accept", ["", "*/*", "text/plain;version=0.0.4", "text/html"])
def test_the_page_is_prometheus_text_by_default(metrics: Metrics, accept: str) -> None:
    body, content_type = metrics.render(accept)
    assert content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert b"# TYPE mlc_in_flight gauge\n" in body


def test_openmetrics_is_for_those_who_ask_for_it(metrics: Metrics) -> None:
    metrics.ready(INFO, 1.5)
    metrics.began()
    metrics.ended("predict", 200, 0.1)
    body, content_type = metrics.render("application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert "mlc_requests" in {family.name for family in parse_openmetrics(body.decode())}


def test_every_metric_says_what_it_is(metrics: Metrics) -> None:
    assert all(family.documentation for family in page(metrics).values())


# Several workers


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(FOLDER, str(tmp_path))
    return tmp_path


Work = Callable[[Metrics], None]


class Workers:
    """Forked processes with metrics of their own; `ask` has one of them do something and render."""

    def __init__(self, count: int) -> None:
        context = multiprocessing.get_context("fork")
        self._pipes, self.processes = [], []
        for _ in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs,))
            process.start()
            self._pipes.append(ours)
            self.processes.append(process)

    def ask(self, worker: int, calls: Sequence[Sequence[Any]]) -> dict[str, Any]:
        self._pipes[worker].send(calls)
        samples: dict[str, Any] = json.loads(self._pipes[worker].recv())
        return samples

    def kill(self, worker: int) -> None:
        number = self.processes[worker].pid
        assert number
        os.kill(number, signal.SIGKILL)
        self.processes[worker].join()

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.join()


def _work(pipe: Any) -> None:
    metrics = Metrics.create()
    while True:
        for name, *arguments in pipe.recv():
            getattr(metrics, name)(*arguments)
        samples: dict[str, Any] = {}
        for family in page(metrics).values():
            for sample in family.samples:
                samples.setdefault(sample.name, []).append([sample.labels, sample.value])
        pipe.send(json.dumps(samples))


@pytest.fixture
def workers(folder: Path) -> Iterator[Workers]:
    workers = Workers(2)
    yield workers
    workers.close()


REQUEST = [("began",), ("ended", "predict", 200, 0.001, "")]


@pytest.mark.e2e
def test_any_worker_tells_for_all(workers: Workers) -> None:
    workers.ask(0, [*REQUEST, *REQUEST, ("began",), ("batch", 4, 0.1, [0.1])])
    seen = workers.ask(1, [*REQUEST, ("began",), ("batch", 6, 0.1, [0.1]), ("lost_lines", "access", 2)])
    assert seen == {
        **workers.ask(0, []),
        **{name: seen[name] for name in seen if name.startswith("process_")},
    }
    assert seen["mlc_requests_total"] == [[{"door": "predict", "status": "200"}, 3]]
    assert seen["mlc_request_seconds_count"] == [[{"door": "predict"}, 3]]
    assert seen["mlc_batch_rows_sum"] == [[{}, 10]]
    assert seen["mlc_in_flight"] == [[{}, 2]]


@pytest.mark.e2e
def test_a_worker_that_just_begins_is_no_trouble(workers: Workers, folder: Path) -> None:
    """Its file is there before it has a content."""
    workers.ask(0, REQUEST)
    number = workers.processes[1].pid
    for kind in ("counter", "histogram", "gauge_livesum"):
        (folder / f"{kind}_{number}.db").touch()
    assert workers.ask(0, [])["mlc_requests_total"] == [[{"door": "predict", "status": "200"}, 1]]


@pytest.mark.e2e
def test_the_model_is_ready_when_it_is_in_every_worker(workers: Workers) -> None:
    workers.ask(0, [])
    ready = ("ready", INFO, 2.0)
    assert workers.ask(1, [ready])["mlc_model_ready"] == [[{}, 0]]
    seen = workers.ask(0, [("ready", INFO, 3.0)])
    assert seen["mlc_model_ready"] == [[{}, 1]]
    assert seen["mlc_model_load_seconds"] == [[{}, 3.0]]
    (info,) = seen["mlc_model_info"]
    assert (info[0]["name"], info[1]) == ("digits", 1)


@pytest.mark.e2e
def test_each_worker_tells_its_own_memory(workers: Workers) -> None:
    workers.ask(0, [])
    seen = workers.ask(1, [])
    assert {labels["pid"] for labels, _ in seen["process_resident_memory_bytes"]} == {
        str(process.pid) for process in workers.processes
    }
    assert all(memory > 2**20 for _, memory in seen["process_resident_memory_bytes"])
    assert len(seen["process_cpu_seconds_total"]) == 2


@pytest.mark.e2e
def test_a_worker_that_died_leaves_its_counts_but_neither_requests_nor_memory(workers: Workers) -> None:
    workers.ask(0, [*REQUEST, ("began",)])
    workers.ask(1, [("ready", INFO, 2.0)])
    workers.kill(0)
    seen = workers.ask(1, [])
    assert seen["mlc_requests_total"] == [[{"door": "predict", "status": "200"}, 1]]
    assert seen["mlc_in_flight"] == [[{}, 0]]
    assert seen["mlc_model_ready"] == [[{}, 1]]
    assert len(seen["process_resident_memory_bytes"]) == 1
