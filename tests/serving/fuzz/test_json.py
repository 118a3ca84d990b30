from __future__ import annotations

import gc
import tracemalloc
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from serving.served import Served
from tests.serving.fuzz.cases import DOORS, MODELS, body, check

CASES = 10_000
GROWTH = 64 * 2**10  # bytes
DECISIONS = 16  # bytes, of which a case may need all

fuzz = settings(
    max_examples=CASES,
    database=None,
    deadline=None,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("door", DOORS)
def test_whatever_body_comes_it_is_a_task_that_fits_or_a_refusal_that_says_where(door: str) -> None:
    predict, seeds = DOORS[door]

    @fuzz
    @given(served=st.sampled_from(MODELS), decisions=st.binary(max_size=DECISIONS))
    def each(served: Served, decisions: bytes) -> None:
        check(predict, served, body(decisions, seeds))

    each()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("door", DOORS)
def test_memory_does_not_grow_over_ten_thousand_bodies(door: str) -> None:
    predict, seeds = DOORS[door]
    random = Random(1)

    def answer(cases: int) -> int:
        """Bytes in use after that many."""
        for _ in range(cases):
            check(predict, random.choice(MODELS), body(random.randbytes(DECISIONS), seeds))
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = answer(CASES // 10)
        assert answer(CASES) - before < GROWTH
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("door", DOORS)
def test_enough_of_the_cases_are_answered(door: str) -> None:
    """A fuzzer whose every case is refused at the first look would find nothing."""
    predict, seeds = DOORS[door]
    random = Random(2)
    cases = ((random.choice(MODELS), body(random.randbytes(DECISIONS), seeds)) for _ in range(2000))
    assert sum(check(predict, *case) for case in cases) > 40
