from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.tracing import Trace, context, open_spans

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


def test_a_request_without_headers_gets_an_id_of_its_own_and_no_trace() -> None:
    traces = [context({}) for _ in range(1000)]
    assert len({trace.request_id for trace in traces}) == 1000
    assert all(len(bytes.fromhex(trace.request_id)) == 16 for trace in traces)
    assert all(trace[1:] == ("", "", False, "") for trace in traces)


@pytest.mark.parametrize("given", ["a", "550e8400-e29b-41d4-a716-446655440000", "x" * 128, 'a "b" c'])
def test_a_sane_id_of_the_client_is_kept(given: str) -> None:
    assert context({"x-request-id": given}).request_id == given


@pytest.mark.parametrize("given", ["", "x" * 129, "a\nb", "a\tb", "é", "\x7f", "\x1b[2J", "\x00"])
def test_an_insane_id_is_replaced(given: str) -> None:
    assert len(bytes.fromhex(context({"x-request-id": given}).request_id)) == 16


@pytest.mark.parametrize(("flags", "sampled"), [("00", False), ("01", True), ("02", False), ("ff", True)])
def test_a_trace_is_continued(flags: str, sampled: bool) -> None:
    headers = {"x-request-id": "r", "traceparent": f"00-{TRACE}-{PARENT}-{flags}", "tracestate": "a=1,b=2"}
    assert context(headers) == Trace("r", TRACE, PARENT, sampled, "a=1,b=2")


@pytest.mark.parametrize("more", ["", "-", "-what-the-future-will-be-like"])
def test_a_later_version_is_read_as_far_as_it_is_known(more: str) -> None:
    found = context({"traceparent": f"01-{TRACE}-{PARENT}-01{more}"})
    assert (found.trace_id, found.parent_id, found.sampled) == (TRACE, PARENT, True)


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        "00",
        f"ff-{TRACE}-{PARENT}-01",
        f"0-{TRACE}-{PARENT}-01",
        f"0x-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01-more",
        f"00-{TRACE}-{PARENT}-01-",
        f"00-{TRACE}-{PARENT}-01\n",
        f"01-{TRACE}-{PARENT}-01.more",
        f"01-{TRACE}-{PARENT}-012",
        f"00-{TRACE}-{PARENT}-1",
        f"00-{TRACE}-{PARENT}-0g",
        f"00-{TRACE}-{PARENT}",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE}-{PARENT.upper()}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}-{PARENT}-01",
        f"00-{TRACE}0-{PARENT}-01",
        f"00-{TRACE}-{PARENT}0-01",
        f"00_{TRACE}_{PARENT}_01",
        f" 00-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01,00-{TRACE}-{PARENT}-01",
    ],
)
def test_what_the_specification_forbids_counts_as_no_trace(traceparent: str) -> None:
    found = context({"traceparent": traceparent, "tracestate": "a=1"})
    assert found[1:] == ("", "", False, "")


@given(st.text())
def test_no_header_makes_it_fail(text: str) -> None:
    found = context({"traceparent": text, "tracestate": text, "x-request-id": text})
    assert found.request_id.isascii()
    assert found.request_id.isprintable()


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_SERVICE_NAME": "digits"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_without_an_endpoint_there_are_no_spans(environ: dict[str, str]) -> None:
    assert open_spans(environ, {}) is None


@pytest.mark.e2e
def test_without_an_endpoint_opentelemetry_is_not_even_imported() -> None:
    code = (
        "import sys, serving.tracing as t; assert t.open_spans({}, {}) is None; "
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
