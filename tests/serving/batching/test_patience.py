from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.batching.patience import (
    BRIEF,
    GLANCE,
    IDLE,
    KNOWN_FOR,
    PAIRS_MOST,
    TURN_BATCHES,
    TURN_SECONDS,
    Called,
    Cost,
    Crowd,
    Patience,
    Trial,
    Turn,
)
from tests.serving.batching.world import World

few = settings(max_examples=25)

WINDOW = 0.005
WAITING = Trial(crowd=1000, helped=True, waits=True, rest=1000)

seconds = st.floats(0.0, 10.0)
patiences = st.builds(  # inclined to wait
    Patience,
    window=seconds,
    max_rows=st.integers(1, 256),
    cost=st.builds(Cost, st.floats(1e-5, 10.0), st.sampled_from([0.0, 1e-6, 1.0])),
    crowd=st.builds(Crowd, st.integers(0, 300)),
    rate=st.just(1e6),
    trial=st.just(WAITING),
)
calls = st.builds(
    Called,
    ended=seconds,
    seconds=seconds,
    rows=st.integers(1, 1000),
    tasks=st.integers(1, 64),
    in_flight=st.integers(1, 1000),
)


@given(patiences, st.integers(1, 300), st.integers(1, 300), seconds)
def test_no_batch_waits_longer_than_the_window(
    patience: Patience, tasks: int, rows: int, waited: float
) -> None:
    wait = patience.wait(tasks, rows, waited)
    assert wait == 0 or waited + wait <= patience.window * (1 + 1e-9)


@given(patiences, st.integers(1, 300), st.integers(1, 300))
def test_no_batch_waits_once_all_known_clients_or_enough_rows_are_in(
    patience: Patience, tasks: int, rows: int
) -> None:
    if tasks >= patience.crowd.size or rows >= patience.max_rows:
        assert patience.wait(tasks, rows, 0.0) == 0


@given(patiences, st.integers(1, 300), st.integers(1, 300))
def test_waiting_for_the_next_task_never_takes_longer_than_the_call_that_it_saves(
    patience: Patience, tasks: int, rows: int
) -> None:
    assert patience.wait(tasks, rows, 0.0) <= patience.cost.fixed


@few
@given(st.lists(calls, max_size=200), st.integers(1, 64))
def test_a_single_client_never_waits(past: list[Called], rows: int) -> None:
    patience = Patience(WINDOW, 64)
    for call in past:
        patience = patience.learn(Called(call.ended, call.seconds, call.rows, 1, 1))
        assert patience.wait(1, rows, 0.0) == 0


@few
@given(st.lists(calls, max_size=100))
def test_whatever_happens_what_is_learned_stays_usable(past: list[Called]) -> None:
    patience = Patience(WINDOW, 64)
    for call in past:
        patience = patience.learn(call)
        assert patience.cost.fixed >= 0
        assert patience.cost.per_row >= 0
        assert patience.rate > 0
        assert 1 <= patience.retry_after(1024) <= 30


def some_sizes(most: int, count: int, seed: int) -> list[int]:
    return Random(seed).choices(range(1, most + 1), k=count)


def learned(cost: Cost, sizes: list[int], past: Cost | None = None) -> Cost:
    known = past or Cost()
    for rows in sizes:
        known = known.learn(rows, cost.of(rows))
    return known


@few
@given(st.floats(1e-5, 1.0), st.integers(0, 2**32))
def test_there_is_no_waiting_where_the_cost_is_that_of_the_rows(per_row: float, seed: int) -> None:
    cost = learned(Cost(0.0, per_row), some_sizes(16, 500, seed))
    patience = Patience(WINDOW, 64, cost, Crowd(8), rate=1e12, trial=WAITING)
    assert patience.wait(1, 1, 0.0) == 0


@few
@given(st.floats(1e-5, 1.0), st.integers(0, 2**32))
def test_where_a_call_costs_much_whatever_its_size_a_batch_waits_for_its_clients(
    fixed: float, seed: int
) -> None:
    cost = learned(Cost(fixed, fixed / 100), some_sizes(16, 500, seed))
    patience = Patience(WINDOW, 64, cost, Crowd(8), rate=1 / fixed, trial=WAITING)
    assert patience.wait(1, 1, 0.0) > 0
    assert patience.wait(7, 7, 0.0) > 0


def test_nobody_is_waited_for_who_is_not_expected_in_time() -> None:
    patience = Patience(WINDOW, 64, Cost(0.001), Crowd(8), rate=100.0, trial=WAITING)
    assert patience.wait(1, 1, 0.0) == 0


@few
@given(st.floats(1e-5, 1.0), st.floats(1e-6, 0.1), st.integers(0, 2**32))
def test_the_cost_is_learned_from_calls_of_different_sizes(fixed: float, per_row: float, seed: int) -> None:
    true = Cost(fixed, per_row)
    cost = learned(true, some_sizes(32, 1000, seed))
    assert cost.of(1) == pytest.approx(true.of(1), rel=0.05)
    assert cost.of(32) == pytest.approx(true.of(32), rel=0.05)


def test_what_is_known_of_the_cost_outlives_calls_of_a_single_size() -> None:
    true = Cost(0.01, 0.001)
    known = learned(true, [1, 8, 2, 16] * 200)
    assert learned(true, [8] * 10_000, known).fixed == pytest.approx(0.01, rel=0.05)


def test_one_very_slow_call_teaches_little() -> None:
    assert Cost(0.01).learn(1, 100.0).of(1) < 0.012


def test_who_does_not_ask_any_more_is_forgotten() -> None:
    crowd = Crowd().learn(8)
    for _ in range(KNOWN_FOR):
        crowd = crowd.learn(2)
    assert crowd.size == 8
    for _ in range(KNOWN_FOR + 1):
        crowd = crowd.learn(2)
    assert crowd.size == 2


def test_a_turn_lasts_for_some_batches_and_some_time() -> None:
    turn = Turn(started=1.0)
    for _ in range(TURN_BATCHES):
        assert not turn.over(9.0)
        turn = turn.learn(tasks=3)
    assert turn.tasks == 3 * TURN_BATCHES
    assert turn.over(1.0 + 2 * TURN_SECONDS)
    assert not turn.over(1.0 + TURN_SECONDS / 2)


def verdict(without: list[float], with_waiting: list[float], trial: Trial | None = None) -> Trial:
    trial = trial or Trial(crowd=8)
    for rates in zip(without, with_waiting, strict=True):
        for rate, waits in zip(rates, (False, True), strict=True):
            assert trial.waits is waits
            trial = trial.learn(rate)
            if trial.rest:
                return trial
    raise AssertionError("no verdict")


def test_waiting_goes_on_where_it_answers_more_tasks_a_second() -> None:
    assert verdict([1000.0, 1010.0, 990.0, 1000.0], [1200.0, 1205.0, 1195.0, 1200.0]).waits


def test_waiting_ends_where_it_answers_fewer() -> None:
    trial = verdict([1000.0, 1010.0, 990.0, 1000.0], [900.0, 905.0, 895.0, 900.0])
    assert not trial.waits


@pytest.mark.parametrize("gain", [1.0, 1.01])
def test_waiting_ends_where_it_makes_no_difference_that_matters(gain: float) -> None:
    assert not verdict([1000.0] * PAIRS_MOST, [1000.0 * gain] * PAIRS_MOST).waits


def test_waiting_ends_where_the_difference_may_be_chance() -> None:
    assert not verdict([1000.0, 1500.0] * 8, [1600.0, 1100.0] * 8).waits


def test_after_its_rest_a_trial_begins_anew() -> None:
    trial = verdict([1000.0] * 4, [1200.0] * 4)
    for _ in range(trial.rest - 1):
        trial = trial.learn(1200.0)
        assert trial.waits
    trial = trial.learn(1200.0)
    assert not trial.waits
    assert not verdict([1000.0] * 4, [900.0] * 4, trial).helped


def test_twice_as_many_clients_are_another_matter() -> None:
    patience = Patience(WINDOW, 64, Cost(0.001), Crowd(8), trial=Trial(crowd=8, waits=True, rest=100))
    assert patience.learn(Called(1.0, 0.001, 8, 8, 15)).trial.waits
    assert not patience.learn(Called(1.0, 0.001, 8, 8, 16)).trial.waits


def test_a_turn_with_a_break_in_it_does_not_count() -> None:
    patience = Patience(
        WINDOW, 64, Cost(0.001), Crowd(8), ended=1.0, turn=Turn(0.9, TURN_BATCHES, 64), trial=Trial(crowd=8)
    )
    assert patience.learn(Called(1.001, 0.001, 8, 8, 8)).trial.rate > 0
    after_a_break = patience.learn(Called(1.002 + IDLE, 0.001, 8, 8, 8))
    assert after_a_break.trial.rate == 0
    assert after_a_break.turn.tasks == 0


def test_a_full_queue_names_the_seconds_until_it_is_worked_off() -> None:
    assert Patience(WINDOW, 64, rate=100.0).retry_after(1024) == 11
    assert Patience(WINDOW, 64, rate=1e6).retry_after(1024) == 1
    assert Patience(WINDOW, 64, rate=1.0).retry_after(1024) == 30
    assert Patience(WINDOW, 64).retry_after(1024) == 30


def rates(seconds: float, window: float, **world: object) -> tuple[World, float]:
    """The world after it has lived for twice the time, and the tasks a second in the second half."""
    it = World(Patience(window, 64), **world).run(seconds).run(seconds)  # type: ignore[arg-type]
    return it, it.answered / seconds


@pytest.mark.parametrize("clients", [8, 64])
def test_clients_that_share_an_interpreter_with_the_model_are_answered_together(clients: int) -> None:
    _, before = rates(1.0, 0.0, clients=clients, shared=True)
    world, after = rates(1.0, WINDOW, clients=clients, shared=True)
    assert after > 1.8 * before
    assert world.tasks_per_call > 0.6 * clients


def test_two_clients_that_always_missed_each_other_are_answered_together() -> None:
    _, before = rates(2.0, 0.0, clients=2, fixed=0.005)
    world, after = rates(2.0, WINDOW, clients=2, fixed=0.005)
    assert after > 1.7 * before
    assert world.tasks_per_call > 1.8


def test_clients_whose_requests_are_read_while_the_model_computes_are_not_held_up() -> None:
    _, before = rates(1.0, 0.0, clients=8)
    world, after = rates(1.0, WINDOW, clients=8)
    assert after > 0.97 * before
    assert not world.patience.trial.helped


def test_one_client_is_never_held_up() -> None:
    world, _ = rates(1.0, WINDOW, clients=1)
    assert world.waited == 0


@pytest.mark.parametrize("rate", [100.0, 1000.0])
def test_requests_that_leave_the_model_time_are_not_held_up(rate: float) -> None:
    world, _ = rates(3.0, WINDOW, rate=rate)
    assert world.waited / world.calls < 0.00002


def test_requests_that_come_by_chance_are_hardly_ever_held_up() -> None:
    world, _ = rates(3.0, WINDOW, rate=2500.0)
    assert not world.patience.trial.helped
    assert world.waited / world.calls < 0.0002


@pytest.mark.parametrize(
    ("cost", "rows", "brief"),
    [
        (Cost(), 1, False),
        (Cost(BRIEF / 2), 1, True),
        (Cost(BRIEF / 2), 65, False),
        (Cost(BRIEF / 2, BRIEF / 10), 4, True),
        (Cost(BRIEF / 2, BRIEF / 10), 6, False),
        (Cost(BRIEF * 2), 1, False),
    ],
    ids=["unknown", "short", "more rows than share a call", "few rows", "many rows", "long"],
)
def test_a_call_is_brief_where_that_is_known(cost: Cost, rows: int, brief: bool) -> None:
    assert Patience(WINDOW, 64, cost).brief(rows) is brief


def test_calls_by_who_submits_are_no_trial_of_waiting() -> None:
    patience = Patience(WINDOW, 64, crowd=Crowd(8), trial=WAITING)
    for number in range(100):
        patience = patience.learn(Called(number * 0.001, 0.0001, 4, 4, 8, here=True))
    assert patience.trial == WAITING
    assert patience.cost.of(4) == pytest.approx(0.0001)


LONG = 0.1  # seconds of a call


@pytest.mark.parametrize(
    ("cost", "crowd", "tasks", "waited", "wait"),
    [
        (LONG, 8, 1, 0.0, GLANCE * LONG),
        (LONG, 8, 8, 0.0, 0.0),
        (LONG, 1, 1, 0.0, 0.0),
        (LONG / 10, 8, 1, 0.0, 0.0),
        (LONG, 8, 1, WINDOW, 0.0),
        (LONG * 100, 8, 1, 0.0, WINDOW),
    ],
    ids=["long", "all are here", "one client", "short", "waited already", "window"],
)
def test_before_a_long_call_who_is_known_may_still_join_for_a_moment(
    cost: float, crowd: int, tasks: int, waited: float, wait: float
) -> None:
    patience = Patience(WINDOW, 64, Cost(cost), Crowd(crowd))
    assert patience.wait(tasks, tasks, waited) == pytest.approx(wait)
