from __future__ import annotations

import time
from itertools import count

import pytest

from ml_containerize.plan.settings.settings import Budgets
from ml_containerize.smoke.measure import Measured, over_budget, percentile, watched

MEASURED = Measured(startup_seconds=2.5, latencies_ms=(1.0, 2.0, 3.0, 40.0), memory_bytes=300 * 2**20)


@pytest.mark.parametrize(("percent", "value"), [(50, 2.0), (95, 40.0), (1, 1.0), (100, 40.0)])
def test_percentiles_are_values_that_were_measured(percent: float, value: float) -> None:
    assert percentile([40.0, 3.0, 1.0, 2.0], percent) == value


def test_nothing_has_no_percentile() -> None:
    assert percentile([], 95) is None


def test_the_peak_is_the_largest_value_read_in_the_meantime() -> None:
    values = iter([None, 5, 9, 7])
    with watched(lambda: next(values, None)) as peak:
        for _ in range(4):
            peak.sample()
    assert peak.value == 9


def test_memory_is_sampled_while_the_block_runs() -> None:
    numbers = count(1)
    with watched(lambda: next(numbers)) as peak:
        deadline = time.monotonic() + 5
        while peak.value is None and time.monotonic() < deadline:
            time.sleep(0.01)
    assert peak.value


def test_measurements_within_the_budgets_are_fine() -> None:
    assert over_budget(MEASURED, Budgets(latency_p95_ms=40.0, startup_seconds=2.5, memory_mb=300)) == []
    assert over_budget(MEASURED, Budgets()) == []


def test_every_exceeded_budget_is_told_with_its_key() -> None:
    assert over_budget(MEASURED, Budgets(latency_p95_ms=30, startup_seconds=2, memory_mb=256)) == [
        "start-up is 2.5 s, over the budget of 2 s (startup-seconds)",
        "p95 latency is 40 ms, over the budget of 30 ms (latency-p95-ms)",
        "peak memory is 300 MB, over the budget of 256 MB (memory-mb)",
    ]


def test_a_budget_that_nothing_was_measured_for_is_not_kept() -> None:
    unmeasured = Measured(startup_seconds=2.5, latencies_ms=(), memory_bytes=None)
    problems = over_budget(unmeasured, Budgets(latency_p95_ms=30, memory_mb=256))
    assert [problem.split(",")[0] for problem in problems] == [
        "p95 latency was not measured",
        "peak memory was not measured",
    ]


def test_measurements_read_as_one_line() -> None:
    assert str(MEASURED) == "latency p50 2.0 ms, p95 40.0 ms · peak memory 300.0 MiB"
