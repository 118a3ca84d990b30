"""Who asked, and as part of what: the request's id and its place in a trace.

W3C Trace Context, https://www.w3.org/TR/trace-context/.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from random import getrandbits
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from serving.spans import Spans

LONGEST_ID = 128  # characters of a request's id

# Section 3.2.2: version 00 has 55 characters, later ones may go on after a dash, ff is none.
_TRACEPARENT = re.compile(
    r"(?:00(?=.{53}\Z)|(?!00|ff)[0-9a-f]{2})"
    r"-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?"
)
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


class Trace(NamedTuple):
    """A request's id and the caller's trace, its ids in hexadecimal digits, "" where there is none."""

    request_id: str
    trace_id: str = ""
    parent_id: str = ""
    sampled: bool = False
    state: str = ""  # `tracestate` as it came


def context(headers: Mapping[str, str]) -> Trace:
    """Read `x-request-id`, `traceparent` and `tracestate`; a request without a sane id gets a new one."""
    request_id = headers.get("x-request-id")
    if (
        not request_id
        or len(request_id) > LONGEST_ID
        or not (request_id.isascii() and request_id.isprintable())
    ):
        request_id = getrandbits(128).to_bytes(16).hex()
    traceparent = headers.get("traceparent")
    if traceparent is None:
        return Trace(request_id)
    return _continued(request_id, traceparent, headers.get("tracestate") or "")


def _continued(request_id: str, traceparent: str, state: str) -> Trace:
    """A `traceparent` that does not parse counts as none, and its `tracestate` neither (section 3.3)."""
    found = _TRACEPARENT.fullmatch(traceparent)
    if found is None:
        return Trace(request_id)
    trace_id, parent_id, flags = found.groups()
    return Trace(request_id, trace_id, parent_id, bool(int(flags, 16) & 1), state)


def open_spans(environ: Mapping[str, str], attributes: Mapping[str, str]) -> Spans | None:
    """OpenTelemetry's spans where its variables name an endpoint; without one it is not even imported.

    `attributes` describe the service: `service.name`, `service.version`; the variables take precedence.
    """
    if not any(environ.get(name) for name in _ENDPOINTS) or _is_switched_off(environ):
        return None
    from serving.spans import Spans

    return Spans.over_http(attributes)


def _is_switched_off(environ: Mapping[str, str]) -> bool:
    """https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/"""
    disabled = environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    return disabled or environ.get("OTEL_TRACES_EXPORTER") == "none"
