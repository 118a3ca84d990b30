"""What is kept of each request: metrics, a line in the access log, a span, and a sample of its values."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from serving.access_log import AccessLog
from serving.batching import Batcher
from serving.doors import Outputs, Route, Task
from serving.http import Answer, Head
from serving.metrics import Metrics, ModelInfo
from serving.request_log import RequestLog, sink_named
from serving.served import Served
from serving.settings import Settings
from serving.tracing import Trace, context, open_spans

if TYPE_CHECKING:
    from serving.spans import RequestSpan, Spans

OTHER = "other"  # the door of paths that no protocol names
CLOSED = 499  # nginx's status for a client that went away; it never leaves this server


@dataclass(slots=True)
class Visit:
    """One request on its way through the server."""

    method: str
    path: str
    door: str
    client: str
    trace: Trace
    span: RequestSpan | None
    rows: int = 0

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """What its answer carries, so that the client can name it."""
        return (("x-request-id", self.trace.request_id),)


class Journal:
    """Where the server's front writes; no method waits for a disk or a network."""

    def __init__(
        self,
        metrics: Metrics,
        access_log: AccessLog | None = None,
        request_log: RequestLog | None = None,
        spans: Spans | None = None,
    ) -> None:
        self._metrics = metrics
        self._access_log = access_log
        self._request_log = request_log
        self._spans = spans
        self.render = metrics.render

    @classmethod
    def open(cls, settings: Settings) -> Journal:
        metrics = Metrics.create()
        about = {"service.name": settings.model_name, "service.version": settings.model_version}
        return cls(
            metrics,
            _access_log(settings, metrics),
            _request_log(settings, metrics),
            open_spans(os.environ, about),
        )

    def ready(self, served: Served, batcher: Batcher, seconds: float) -> None:
        """The model was loaded and warmed up in so many seconds."""
        self._metrics.watch_queue(lambda: batcher.waiting)
        info = ModelInfo(served.name, served.version, device=served.model.device, **served.about)
        self._metrics.ready(info, seconds)

    def called(self, rows: int, seconds: float, waits: Sequence[float]) -> None:
        """The model was called for tasks that had waited so many seconds each."""
        self._metrics.batch(rows, seconds, waits)

    def enter(self, head: Head, route: Route | None) -> Visit:
        """A request's head is here."""
        trace = context(head.headers)
        span = None
        if self._spans is not None:
            path = "" if route is None else route.path
            agent = head.headers.get("user-agent", "")
            span = self._spans.begin(
                trace, head.method, head.path, route=path, client=head.client, user_agent=agent
            )
        self._metrics.began()
        return Visit(head.method, head.path, OTHER if route is None else route.door, head.client, trace, span)

    def predicted(self, visit: Visit, task: Task, outputs: Outputs, started: float, ended: float) -> None:
        """The model answered; times are `time.perf_counter()`'s, the wait in the queue included."""
        visit.rows = task.rows
        if visit.span is not None:
            visit.span.model_called(started, ended, {"mlc.rows": task.rows, "mlc.signature": task.signature})
        if self._request_log is not None:
            self._request_log.record(visit.trace.request_id, task.signature, task.rows, task.batch, outputs)

    def leave(self, visit: Visit, answer: Answer, size: int, seconds: float) -> None:
        """The request, whose body had `size` bytes, was answered."""
        self._metrics.ended(visit.door, answer.status, seconds, answer.reason)
        if visit.span is not None:
            visit.span.end(answer.status, answer.reason)
        if self._access_log is not None:
            self._access_log.access(
                visit.method,
                visit.path,
                visit.door,
                answer.status,
                seconds,
                bytes_in=size,
                bytes_out=len(answer.body),
                client=visit.client,
                request_id=visit.trace.request_id,
                trace_id=visit.trace.trace_id if visit.span is None else visit.span.trace_id,
                rows=visit.rows,
            )

    def abandon(self, visit: Visit, seconds: float) -> None:
        """The client went away before its request was whole."""
        if visit.span is not None:
            visit.span.abandon()
        visit.span = None
        self.leave(visit, Answer(CLOSED, b"", reason="client_closed"), 0, seconds)

    def close(self) -> None:
        """Write what is queued; a few seconds at most."""
        for each in (self._access_log, self._request_log, self._spans):
            if each is not None:
                each.close()


def _access_log(settings: Settings, metrics: Metrics) -> AccessLog | None:
    if not settings.access_log:
        return None
    return AccessLog(on_drop=lambda lines: metrics.lost_lines("access", lines))


def _request_log(settings: Settings, metrics: Metrics) -> RequestLog | None:
    if not settings.request_log:
        return None
    return RequestLog(
        sink_named(settings.request_log),
        sample=settings.request_log_sample,
        payloads=settings.request_log_payloads,
        model_hash=settings.about.get("model_hash", ""),
        on_drop=lambda lines: metrics.lost_lines("request", lines),
    )
