"""OpenTelemetry spans, sent in the background over OTLP/HTTP; imported only where an endpoint is configured.

Named and described by the HTTP semantic conventions, https://opentelemetry.io/docs/specs/semconv/http/http-spans/.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    TraceState,
    format_trace_id,
    set_span_in_context,
)

from serving.tracing import Trace

_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})


class RequestSpan:
    """One request's span; times are `time.perf_counter()`'s."""

    __slots__ = ("_offset", "_span", "_tracer", "trace_id")

    def __init__(self, tracer: Tracer, span: Span) -> None:
        self._tracer = tracer
        self._span = span
        self._offset = time.time_ns() - time.perf_counter_ns()
        self.trace_id = format_trace_id(span.get_span_context().trace_id)

    def model_called(self, started: float, ended: float, attributes: Mapping[str, str | int]) -> None:
        """Add the call of the model as a span below this one."""
        call = self._tracer.start_span(
            "model.predict",
            set_span_in_context(self._span, Context()),
            attributes=attributes,
            start_time=self._nanoseconds(started),
        )
        call.end(self._nanoseconds(ended))

    def end(self, status: int, reason: str = "") -> None:
        """The request was answered; a status from 500 up is an error of the server's, `reason` its kind."""
        self._span.set_attribute("http.response.status_code", status)
        if status >= 500:
            self._span.set_attribute("error.type", reason or str(status))
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()

    def abandon(self) -> None:
        """The client went away before there was an answer."""
        self._span.set_attribute("error.type", "client_closed_connection")
        self._span.end()

    def _nanoseconds(self, seconds: float) -> int:
        return self._offset + int(seconds * 1e9)


class Spans:
    """Begins spans; where the collector cannot be reached they are dropped, and the log says so."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("serving")

    @classmethod
    def over_http(cls, attributes: Mapping[str, str]) -> Spans:
        """Spans of the service that `attributes` describe; everything else is read from OTEL_* variables."""
        resource = Resource.create(attributes).merge(OTELResourceDetector().detect())
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        return cls(provider)

    def begin(
        self, trace: Trace, method: str, path: str, *, route: str = "", client: str = "", user_agent: str = ""
    ) -> RequestSpan:
        """The span of a request that has just come; `route` is a path of the route table, "" for others."""
        known = method in _METHODS
        verb = method if known else "HTTP"
        attributes = {
            "http.request.method": method if known else "_OTHER",
            "http.request.method_original": "" if known else method,
            "http.route": route,
            "url.path": path,
            "url.scheme": "http",
            "client.address": client,
            "user_agent.original": user_agent,
            "mlc.request_id": trace.request_id,
        }
        span = self._tracer.start_span(
            f"{verb} {route}" if route else verb,
            _caller(trace),
            SpanKind.SERVER,
            {name: value for name, value in attributes.items() if value},
        )
        return RequestSpan(self._tracer, span)

    def close(self, timeout: float = 3.0) -> None:
        """Send what is left, but return after `timeout` seconds."""
        thread = threading.Thread(target=self._provider.shutdown, name="last-spans", daemon=True)
        thread.start()
        thread.join(timeout)


def _caller(trace: Trace) -> Context:
    if not trace.trace_id:
        return Context()
    caller = SpanContext(
        int(trace.trace_id, 16),
        int(trace.parent_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED if trace.sampled else TraceFlags.DEFAULT),
        trace_state=TraceState.from_header([trace.state]) if trace.state else None,
    )
    return set_span_in_context(NonRecordingSpan(caller), Context())
