"""The monitoring files in the real Prometheus, which scrapes a real /metrics page."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import prometheus_client.values
import pytest
import yaml
from support.programs import program

from serving.metrics import FOLDER, Metrics, ModelInfo
from tests.monitoring.conftest import MONITORING, expressions, metrics_of

RULE_TESTS = Path(__file__).with_name("prometheus-rules.test.yml")

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "rules", "--lint=all", "--lint-fatal", MONITORING / "prometheus-rules.yml"],
        ["check", "config", "--lint=all", "--lint-fatal", MONITORING / "prometheus.yml"],
        ["test", "rules", RULE_TESTS],
    ],
    ids=["rules", "example", "tests of the rules"],
)
def test_promtool_finds_nothing_wrong(arguments: list[str]) -> None:
    done = subprocess.run([program("promtool"), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_test_in_which_it_fires_and_one_in_which_it_does_not(
    rules: list[dict[str, Any]],
) -> None:
    tests = yaml.safe_load(RULE_TESTS.read_text())["tests"]
    checks = [check for test in tests for check in test["alert_rule_test"]]
    names = {rule["alert"] for rule in rules}
    assert {check["alertname"] for check in checks if check.get("exp_alerts")} == names
    assert {check["alertname"] for check in checks if not check.get("exp_alerts")} == names


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running Prometheus, asked by its HTTP API: https://prometheus.io/docs/prometheus/latest/querying/api/."""

    url: str

    def is_ready(self) -> bool:
        try:
            with urlopen(f"{self.url}/-/ready", timeout=10):
                return True
        except HTTPError:
            return False

    def ask(self, path: str, **parameters: str) -> Any:
        with urlopen(f"{self.url}/api/v1/{path}?{urlencode(parameters)}", timeout=10) as answer:
            return json.load(answer)["data"]

    def query(self, expression: str) -> list[Any]:
        found: list[Any] = self.ask("query", query=expression)["result"]
        return found

    def wait_for(self, expression: str) -> None:
        wait_until(lambda: self.query(expression), f"nothing came of {expression}")


def test_every_panel_shows_something(prometheus: Prometheus, dashboard: dict[str, Any]) -> None:
    empty = [expression for expression in expressions(dashboard) if not prometheus.query(expression)]
    assert empty == []


def test_variables_have_values(prometheus: Prometheus, dashboard: dict[str, Any]) -> None:
    for variable in dashboard["templating"]["list"][1:]:
        found = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["definition"])
        assert found
        selector, label = found[1].replace("$job", ".*"), found[2]
        assert prometheus.ask(f"label/{label}/values", **{"match[]": selector})


def test_every_rule_is_evaluated_over_metrics_that_exist(
    prometheus: Prometheus, rules: list[dict[str, Any]]
) -> None:
    def loaded() -> list[Any]:
        return [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]

    wait_until(
        lambda: all(rule["health"] != "unknown" for rule in loaded()), "the rules were never evaluated"
    )
    assert {rule["name"] for rule in loaded()} == {rule["alert"] for rule in rules}
    assert [rule["lastError"] for rule in loaded() if rule["health"] != "ok"] == []
    names = set().union(*(metrics_of(rule["expr"]) for rule in rules))
    assert [name for name in sorted(names) if not prometheus.query(name)] == []


def test_prometheus_takes_the_page_as_openmetrics(prometheus: Prometheus) -> None:
    def health() -> tuple[str, str]:
        (target,) = prometheus.ask("targets")["activeTargets"]
        return target["health"], target["lastError"]

    wait_until(lambda: health() == ("up", ""), "Prometheus never read the page")
    types = prometheus.ask("metadata")
    assert types["mlc_request_seconds"][0]["type"] == "histogram"
    assert types["mlc_requests" if "mlc_requests" in types else "mlc_requests_total"][0]["type"] == "counter"


# What the tests stand on


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Prometheus with the rules and the example's settings, after some scrapes of a server with traffic."""
    folder = tmp_path_factory.mktemp("prometheus")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(FOLDER, raising=False)
        patch.setattr(prometheus_client.values, "ValueClass", prometheus_client.values.ValueClass)
        metrics = Metrics.create()
    metrics.ready(ModelInfo("digits", "1", "keras", "sha256:abc", "def", "ghi", "cpu"), 1.5)
    with serving(metrics) as port, running(folder, port) as running_prometheus:
        running_prometheus.wait_for("mlc_model_ready == 1")
        for _ in range(3):
            traffic(metrics)
            time.sleep(0.6)  # more than a scrape's interval
        running_prometheus.wait_for("rate(mlc_log_lines_dropped_total[1m]) > 0")
        yield running_prometheus


def traffic(metrics: Metrics) -> None:
    """What a server of a minute's age has seen, errors of each kind included."""
    for status, reason in ((200, ""), (400, "bad_request"), (500, "model_error"), (503, "busy")):
        metrics.began()
        metrics.ended("predict", status, 0.002, reason)
    metrics.batch(8, 0.002, [0.001, 0.002])
    for log in ("access", "request"):
        metrics.lost_lines(log, 1)


@contextmanager
def running(folder: Path, port: int) -> Iterator[Prometheus]:
    settings = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    settings["global"] = {
        "scrape_interval": "200ms",
        "scrape_timeout": "200ms",
        "evaluation_interval": "500ms",
    }
    settings["rule_files"] = [str(MONITORING / name) for name in settings["rule_files"]]
    settings["scrape_configs"][0]["static_configs"] = [{"targets": [f"127.0.0.1:{port}"]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(settings))
    log = folder / "log"
    options = {
        "config.file": folder / "prometheus.yml",
        "storage.tsdb.path": folder / "data",
        "web.listen-address": "127.0.0.1:0",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program("prometheus"), *(f"--{name}={value}" for name, value in options.items())],
            stdout=output,
            stderr=output,
        )
    try:
        listening = rb'msg="Listening on".* address=(127\.0\.0\.1:\d+)'
        wait_until(
            lambda: process.poll() is not None or re.search(listening, log.read_bytes()),
            "Prometheus never listened",
        )
        found = re.search(listening, log.read_bytes())
        assert found, log.read_text()
        prometheus = Prometheus(f"http://{found[1].decode()}")
        wait_until(prometheus.is_ready, "Prometheus was never ready")
        yield prometheus
    finally:
        process.terminate()
        process.wait(30)


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def serving(metrics: Metrics) -> Iterator[int]:
    """The port of an HTTP server whose only page is /metrics."""

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/metrics":
            start_response("404 Not Found", [])
            return [b""]
        body, content_type = metrics.render(environ.get("HTTP_ACCEPT", ""))
        start_response("200 OK", [("Content-Type", content_type)])
        return [body]

    with make_server("127.0.0.1", 0, application, Server, Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def wait_until(condition: Callable[[], object], otherwise: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.05)
