from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ml_containerize.errors import PushError
from ml_containerize.oci.retries import Retries, Temporary, parse_retry_after

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def failing(times: int, wait: float | None = None) -> list[BaseException]:
    return [Temporary(PushError("busy"), wait) for _ in range(times)]


def run(problems: list[BaseException], waits: list[float], attempts: int = 5) -> str:
    def action() -> str:
        if problems:
            raise problems.pop(0)
        return "done"

    return Retries(attempts, waits.append, lambda: 1.0).run(action)


def test_each_wait_is_twice_the_one_before() -> None:
    waits: list[float] = []
    assert run(failing(4), waits) == "done"
    assert waits == [0.5, 1.0, 2.0, 4.0]


def test_jitter_keeps_at_least_half_of_the_wait() -> None:
    waits: list[float] = []
    Retries(5, waits.append, lambda: 0.0).pause(1, Temporary(PushError("busy")))
    assert waits == [0.25]


def test_the_last_attempt_raises_the_problems_own_error() -> None:
    with pytest.raises(PushError, match="busy"):
        run(failing(5), [])


def test_a_server_is_waited_for_as_long_as_it_asks() -> None:
    waits: list[float] = []
    run(failing(1, wait=7), waits)
    assert waits == [7]


def test_a_server_that_asks_for_more_than_our_patience_is_not_waited_for() -> None:
    waits: list[float] = []
    with pytest.raises(PushError):
        run(failing(1, wait=3600), waits)
    assert waits == []


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        ("Thu, 01 Jan 2026 00:00:30 GMT", 30.0),
        ("Wed, 31 Dec 2025 23:59:00 GMT", 0.0),
        ("", None),
        ("soon", None),
        ("-5", None),
    ],
)
def test_retry_after_is_read_as_seconds_and_as_a_date(header: str, seconds: float | None) -> None:
    assert parse_retry_after(header, NOW) == seconds
