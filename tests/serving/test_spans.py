"""Spans as a collector gets them: over OTLP/HTTP, on loopback, read with OpenTelemetry's own messages."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Sent
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from serving.spans import Spans
from serving.tracing import context, open_spans

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
SERVICE = {"service.name": "digits", "service.version": "3"}

pytestmark = pytest.mark.e2e


class Collector(HTTPServer):
    """Keeps what is posted to /v1/traces, after `delay` seconds and with `status`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Receive)
        self.requests: list[ExportTraceServiceRequest] = []
        self.status = 200
        self.delay = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def spans(self) -> dict[str, Sent]:
        """By name."""
        return {
            span.name: span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        }

    @property
    def resource(self) -> dict[str, Any]:
        return attributes(self.requests[0].resource_spans[0].resource)


class Receive(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        time.sleep(self.server.delay)
        if self.path == "/v1/traces" and self.headers["Content-Type"] == "application/x-protobuf":
            self.server.requests.append(ExportTraceServiceRequest.FromString(body))
        answer = ExportTraceServiceResponse().SerializeToString()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        thread = threading.Thread(target=collector.serve_forever, args=(0.01,))
        thread.start()
        yield collector
        collector.shutdown()
        thread.join()


@pytest.fixture
def environ(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The variables that name the collector, for this process, as OpenTelemetry reads them itself."""
    return set_all(monkeypatch, {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url})


def set_all(monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]) -> dict[str, str]:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return environ


def opened(environ: Mapping[str, str]) -> Spans:
    spans = open_spans(environ, SERVICE)
    assert spans is not None
    return spans


def attributes(message: Any) -> dict[str, Any]:
    found = {}
    for pair in message.attributes:
        kind = pair.value.WhichOneof("value")
        found[pair.key] = getattr(pair.value, kind)
    return found


def test_a_request_is_a_server_span_with_the_models_call_below_it(
    environ: dict[str, str], collector: Collector
) -> None:
    spans = opened(environ)
    trace = context({"x-request-id": "r"})
    span = spans.begin(
        trace, "POST", "/v1/models/digits:predict", route="/v1/models/digits:predict", client="192.0.2.1"
    )
    started = time.perf_counter()
    ended = started + 0.25
    span.model_called(started, ended, {"mlc.rows": 2, "mlc.signature": "serving_default"})
    span.end(200)
    spans.close()

    sent = collector.spans["POST /v1/models/digits:predict"]
    assert sent.kind == Sent.SPAN_KIND_SERVER
    assert sent.trace_id.hex() == span.trace_id
    assert not sent.parent_span_id
    assert sent.status.code == Status.STATUS_CODE_UNSET
    assert attributes(sent) == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "http.route": "/v1/models/digits:predict",
        "url.path": "/v1/models/digits:predict",
        "url.scheme": "http",
        "client.address": "192.0.2.1",
        "mlc.request_id": "r",
    }
    call = collector.spans["model.predict"]
    assert call.kind == Sent.SPAN_KIND_INTERNAL
    assert (call.trace_id, call.parent_span_id) == (sent.trace_id, sent.span_id)
    assert call.end_time_unix_nano - call.start_time_unix_nano == pytest.approx(0.25e9, abs=1e3)
    assert abs(call.start_time_unix_nano - time.time_ns()) < 60e9
    assert attributes(call) == {"mlc.rows": 2, "mlc.signature": "serving_default"}
    assert collector.resource["service.name"] == "digits"
    assert collector.resource["service.version"] == "3"


def test_the_callers_trace_goes_on(environ: dict[str, str], collector: Collector) -> None:
    spans = opened(environ)
    trace = context({"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=1,other=2"})
    span = spans.begin(trace, "GET", "/")
    span.end(200)
    spans.close()
    sent = collector.spans["GET"]
    assert span.trace_id == sent.trace_id.hex() == TRACE
    assert sent.parent_span_id.hex() == PARENT
    assert sent.span_id.hex() not in {PARENT, "0" * 16}
    assert sent.trace_state == "vendor=1,other=2"


def test_what_the_caller_did_not_sample_is_not_sent(environ: dict[str, str], collector: Collector) -> None:
    spans = opened(environ)
    span = spans.begin(context({"traceparent": f"00-{TRACE}-{PARENT}-00"}), "GET", "/unsampled", route="/")
    span.model_called(1.0, 2.0, {})
    span.end(200)
    spans.close()
    assert span.trace_id == TRACE
    assert collector.spans == {}


@pytest.mark.parametrize(
    ("status", "reason", "code", "error"),
    [
        (404, "not_found", Status.STATUS_CODE_UNSET, None),
        (500, "model_error", Status.STATUS_CODE_ERROR, "model_error"),
        (503, "", Status.STATUS_CODE_ERROR, "503"),
    ],
)
def test_only_a_failure_of_the_servers_is_an_error(
    environ: dict[str, str], collector: Collector, status: int, reason: str, code: int, error: str | None
) -> None:
    spans = opened(environ)
    spans.begin(context({}), "POST", "/predict", route="/predict").end(status, reason)
    spans.close()
    sent = collector.spans["POST /predict"]
    assert sent.status.code == code
    assert attributes(sent).get("error.type") == error


def test_a_client_that_hung_up_is_told_apart(environ: dict[str, str], collector: Collector) -> None:
    spans = opened(environ)
    spans.begin(context({}), "POST", "/predict", route="/predict").abandon()
    spans.close()
    assert attributes(collector.spans["POST /predict"])["error.type"] == "client_closed_connection"


def test_an_unknown_method_or_path_makes_no_name_of_its_own(
    environ: dict[str, str], collector: Collector
) -> None:
    spans = opened(environ)
    spans.begin(context({}), "BREW", "/../etc/passwd").end(404)
    spans.close()
    found = attributes(collector.spans["HTTP"])
    assert (found["http.request.method"], found["http.request.method_original"]) == ("_OTHER", "BREW")


def test_opentelemetrys_own_variables_count(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    environ = set_all(
        monkeypatch,
        {
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{collector.url}/v1/traces",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
            "OTEL_SERVICE_NAME": "theirs",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
        },
    )
    spans = opened(environ)
    spans.begin(context({}), "GET", "/").end(200)
    spans.close()
    assert collector.resource["service.name"] == "theirs"
    assert collector.resource["service.version"] == "3"
    assert collector.resource["deployment.environment.name"] == "test"


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:1", "nonsense", "http://127.0.0.1:99999"])
def test_a_collector_that_is_not_there_disturbs_nobody(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spans = opened(set_all(monkeypatch, {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}))
    started = time.monotonic()
    for _ in range(5000):  # more than the queue holds
        spans.begin(context({}), "GET", "/").end(200)
    assert time.monotonic() - started < 10
    spans.close(timeout=0.5)
    assert time.monotonic() - started < 12


@pytest.mark.parametrize(("status", "delay"), [(500, 0.0), (503, 0.0), (400, 0.0), (200, 2.0)])
def test_a_collector_that_fails_or_is_slow_does_not_keep_the_server_from_ending(
    environ: dict[str, str], collector: Collector, status: int, delay: float
) -> None:
    collector.status, collector.delay = status, delay
    spans = opened(environ)
    spans.begin(context({}), "GET", "/").end(200)
    started = time.monotonic()
    spans.close(timeout=0.5)
    assert time.monotonic() - started < 1.5
