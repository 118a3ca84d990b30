"""What a gate found, in one line of Markdown."""

from __future__ import annotations

from ml_containerize.console import human_size
from ml_containerize.report.markdown import escape
from ml_containerize.results import Outcome, ScanReport, SmokeReport


def smoke_words(smoke: SmokeReport) -> str:
    if smoke.outcome is Outcome.SKIPPED:
        return "skipped"
    passed = sum(case.passed for case in smoke.cases)
    reused = ", proved earlier for these very bytes" if smoke.outcome is Outcome.REUSED else ""
    return f"{passed} of {len(smoke.cases)} as recorded{reused}"


def measured(smoke: SmokeReport) -> str:
    """Start, latency and memory, and what it was measured on."""
    facts = (
        smoke.startup_seconds is not None and f"ready after **{smoke.startup_seconds:.1f} s**",
        smoke.latency_p50_ms is not None and f"p50 **{smoke.latency_p50_ms:.1f} ms**",
        smoke.latency_p95_ms is not None and f"p95 **{smoke.latency_p95_ms:.1f} ms**",
        smoke.memory_bytes is not None and f"peak memory **{human_size(smoke.memory_bytes)}**",
        smoke.engine and f"engine {escape(smoke.engine)}",
        smoke.gpu and f"GPU {escape(smoke.gpu)}",
    )
    return " · ".join(fact for fact in facts if fact)


def scan_words(scan: ScanReport) -> str:
    if scan.outcome is Outcome.SKIPPED:
        return "scan skipped"
    total = sum(scan.counts.values())
    if scan.refused:
        return f"{len(scan.refused)} refused of {total} found"
    return f"none refused, {total} found" if total else "none found"
