from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.batching import Batcher, BatchSettings, Done
from serving.batching.patience import Cost, Crowd, Patience, Trial
from serving.doors import Outputs, Task
from serving.errors import Busy
from serving.http import Answer
from serving.signature import Signature, TensorSpec
from serving.tensors import Tensor

AT_ONCE = 20  # seconds that nothing here takes, unless it hangs


def signature(*shape: int | None) -> Signature:
    return Signature((TensorSpec("x", "float32", shape),), (TensorSpec("twice", "float32", shape),))


class Twice:
    """Doubles its input row by row, keeps what it was given, and waits at its gate while that is closed."""

    device = "cpu"

    def __init__(self, **signatures: Signature) -> None:
        self.signatures = signatures or {"serving_default": signature(None, None)}
        self.calls: list[Tensor] = []
        self.answers: list[Tensor] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def predict(self, batch: Mapping[str, Tensor], signature: str = "") -> dict[str, Tensor]:
        assert signature in self.signatures
        self.entered.set()
        assert self.gate.wait(AT_ONCE)
        self.calls.append(batch["x"])
        self.answers.append(self.answer(batch["x"]))
        return {"twice": self.answers[-1]}

    def answer(self, x: Tensor) -> Tensor:
        return x * 2

    @property
    def rows(self) -> list[int]:
        return [len(x) for x in self.calls]


class RefusesNegative(Twice):
    def answer(self, x: Tensor) -> Tensor:
        if (x < 0).any():
            raise ValueError(f"{x.min():g} is negative")
        return x * 2


class Results:
    """Collects what tasks are answered."""

    def __init__(self) -> None:
        self.got: dict[int, Any] = {}
        self._more = threading.Condition()

    def __getitem__(self, number: int) -> Any:
        return self.of(number)[0]

    def done(self) -> Done:
        number = len(self.got)
        self.got[number] = None

        def done(result: Outputs | BaseException) -> None:
            with self._more:
                assert self.got[number] is None, "answered twice"
                self.got[number] = result
                self._more.notify()

        return done

    def of(self, *numbers: int) -> list[Any]:
        """Those of these tasks, once they are all here."""
        with self._more:
            here = self._more.wait_for(lambda: all(self.got[each] is not None for each in numbers), AT_ONCE)
            assert here, f"unanswered: {[number for number in numbers if self.got[number] is None]}"
            return [self.got[number] for number in numbers]

    def all(self, count: int) -> list[Any]:
        assert count == len(self.got)
        return self.of(*range(count))


def never_written(outputs: Outputs) -> Answer:
    raise AssertionError("the batcher does not write answers")


def task(*values: float, name: str = "serving_default", width: int = 2, dtype: str = "float32") -> Task:
    """One row for each value."""
    x = np.repeat(np.array(values, dtype)[:, None], width, axis=1)
    return Task(name, {"x": x}, len(values), never_written)


def unobserved(rows: int, seconds: float, waits: object) -> None:
    pass


Make = Callable[..., Batcher]


@pytest.fixture
def make() -> Iterator[Make]:
    made = []

    def make(model: Twice, observe: Any = unobserved, **options: Any) -> Batcher:
        known = {name: options.pop(name) for name in ("deliver", "patience", "soon") if name in options}
        made.append((model, Batcher(model, settings=BatchSettings(**options), observe=observe, **known)))
        return made[-1][1]

    yield make
    for model, batcher in made:
        model.gate.set()
        batcher.close()


def held(model: Twice, batcher: Batcher) -> Results:
    """The results, the first of them that of a call which keeps the model busy until its gate opens."""
    model.gate.clear()
    model.entered.clear()
    results = Results()
    batcher.submit(task(0), results.done())
    assert model.entered.wait(AT_ONCE)
    return results


def submit(batcher: Batcher, results: Results, *tasks: Task) -> None:
    for each in tasks:
        batcher.submit(each, results.done())


def test_a_task_is_answered_with_its_outputs(make: Make) -> None:
    assert make(Twice()).predict(task(1, 2))["twice"].tolist() == [[2, 2], [4, 4]]


def test_tasks_that_came_while_the_model_was_busy_share_one_call(make: Make) -> None:
    model = Twice()
    batcher = make(model)
    results = held(model, batcher)
    submit(batcher, results, task(1), task(2, 3), task(4))
    model.gate.set()
    assert results[2]["twice"].tolist() == [[4, 4], [6, 6]]
    assert results[3]["twice"].tolist() == [[8, 8]]
    assert model.rows == [1, 4]


def test_a_call_of_several_tasks_holds_no_more_rows_than_allowed(make: Make) -> None:
    model = Twice()
    batcher = make(model, max_rows=4)
    results = held(model, batcher)
    submit(batcher, results, task(1, 2, 3), task(4), task(5, 6), task(7, 8), task(9))
    model.gate.set()
    results.all(6)
    assert model.rows == [1, 4, 4, 1]


def test_a_larger_task_goes_alone_and_whole(make: Make) -> None:
    model = Twice()
    batcher = make(model, max_rows=4)
    results = held(model, batcher)
    submit(batcher, results, task(1), task(*range(9)), task(2))
    model.gate.set()
    assert len(results[2]["twice"]) == 9
    results.all(4)
    assert model.rows == [1, 2, 9]


def test_tasks_of_other_kinds_wait_for_the_next_call_in_their_order(make: Make) -> None:
    model = Twice(serving_default=signature(None, None), other=signature(None, None))
    batcher = make(model)
    results = held(model, batcher)
    wide, other = task(2, width=3), task(3, name="other")
    submit(batcher, results, task(1), wide, other, task(4), wide, task(5, dtype="float64"), other)
    model.gate.set()
    results.all(8)
    assert [x[:, 0].tolist() for x in model.calls] == [[0], [1, 4], [2, 2], [3, 3], [5]]


kinds = st.tuples(st.sampled_from(["serving_default", "other"]), st.integers(1, 3))


@settings(max_examples=25)
@given(st.lists(st.tuples(kinds, st.integers(1, 6)), min_size=1, max_size=30), st.integers(1, 12))
def test_whatever_comes_every_task_gets_its_own_rows_and_the_oldest_is_in_the_next_call(
    wanted: list[tuple[tuple[str, int], int]], max_rows: int
) -> None:
    model = Twice(serving_default=signature(None, None), other=signature(None, None))
    batcher = Batcher(model, settings=BatchSettings(max_rows=max_rows), observe=unobserved)
    results = held(model, batcher)
    tasks = [
        task(*(100.0 * number + row for row in range(rows)), name=name, width=width)
        for number, ((name, width), rows) in enumerate(wanted, start=1)
    ]
    submit(batcher, results, *tasks)
    model.gate.set()
    answers = results.all(len(tasks) + 1)[1:]
    batcher.close()
    for each, answer in zip(tasks, answers, strict=True):
        assert np.array_equal(answer["twice"], each.batch["x"] * 2)
    unanswered = list(range(1, len(tasks) + 1))
    for x in model.calls[1:]:
        numbers = list(dict.fromkeys((x[:, 0] // 100).astype(int).tolist()))
        assert numbers[0] == unanswered[0]
        assert numbers == sorted(numbers)
        assert len(numbers) == 1 or len(x) <= max_rows
        assert len({wanted[number - 1][0] for number in numbers}) == 1
        unanswered = [number for number in unanswered if number not in numbers]
    assert not unanswered


def test_sixty_four_threads_get_their_own_rows_and_nothing_is_lost(make: Make) -> None:
    batcher = make(Twice())
    wrong: list[object] = []

    def ask(seed: int) -> None:
        random = np.random.default_rng(seed)
        for _ in range(30):
            x = random.random((random.integers(1, 9), random.integers(1, 3)), np.float32)
            answer = batcher.predict(Task("serving_default", {"x": x}, len(x), never_written))
            if not np.array_equal(answer["twice"], x * 2):
                wrong.append((x, answer))

    threads = [threading.Thread(target=ask, args=(seed,), daemon=True) for seed in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(AT_ONCE)
    assert not any(thread.is_alive() for thread in threads)
    assert not wrong


def test_a_single_tasks_arrays_go_to_the_model_and_back_as_they_are(make: Make) -> None:
    model = Twice()
    single = task(1)
    answer = make(model).predict(single)
    assert model.calls[0] is single.batch["x"]
    assert answer["twice"] is model.answers[0]


def test_the_outputs_of_a_shared_call_are_not_copied(make: Make) -> None:
    model = Twice()
    batcher = make(model)
    results = held(model, batcher)
    submit(batcher, results, task(1), task(2))
    model.gate.set()
    assert np.shares_memory(results[2]["twice"], model.answers[1])


def test_a_model_with_a_fixed_number_of_rows_is_called_task_by_task(make: Make) -> None:
    model = Twice(serving_default=signature(2, 2))
    batcher = make(model)
    results = held(model, batcher)
    submit(batcher, results, task(1, 2), task(3, 4))
    model.gate.set()
    results.all(3)
    assert model.rows == [1, 2, 2]


def test_without_batching_every_task_goes_alone_and_in_order(make: Make) -> None:
    model = Twice()
    batcher = make(model, enabled=False)
    results = held(model, batcher)
    submit(batcher, results, task(1), task(2), task(3))
    model.gate.set()
    results.all(4)
    assert [float(x[0, 0]) for x in model.calls] == [0, 1, 2, 3]


def test_one_bad_request_fails_alone(make: Make) -> None:
    model = RefusesNegative()
    batcher = make(model)
    results = held(model, batcher)
    submit(batcher, results, task(1), task(-2), task(3))
    model.gate.set()
    assert isinstance(results[2], ValueError)
    assert str(results[2]) == "-2 is negative"
    assert results[1]["twice"].tolist() == [[2, 2]]
    assert results[3]["twice"].tolist() == [[6, 6]]


def test_one_bad_request_does_not_make_later_calls_smaller(make: Make) -> None:
    model = RefusesNegative()
    batcher = make(model)
    results = held(model, batcher)
    submit(batcher, results, task(1), task(-2), task(3))
    model.gate.set()
    results.all(4)
    again = held(model, batcher)
    submit(batcher, again, task(1), task(2), task(3))
    model.gate.set()
    again.all(4)
    assert model.rows[-1] == 3


def test_what_the_model_raises_reaches_who_asked(make: Make) -> None:
    with pytest.raises(ValueError, match="-1 is negative"):
        make(RefusesNegative()).predict(task(-1))


@pytest.mark.parametrize("raised", [SystemExit(3), KeyboardInterrupt(), StopIteration(), GeneratorExit()])
def test_whatever_the_model_raises_is_an_error_that_ends_no_loop_and_no_thread(
    make: Make, raised: BaseException
) -> None:
    class Leaves(Twice):
        def answer(self, x: Tensor) -> Tensor:
            if x[0, 0] == 13:
                raise raised
            return x * 2

    batcher = make(Leaves())
    with pytest.raises(RuntimeError, match=f"the model raised {type(raised).__name__}"):
        batcher.predict(task(13))
    assert batcher.predict(task(1))["twice"].tolist() == [[2, 2]]


def test_a_model_that_answers_by_batch_and_not_by_row_is_called_task_by_task(make: Make) -> None:
    class Sum(Twice):
        def answer(self, x: Tensor) -> Tensor:
            total: Tensor = x.sum(axis=0, keepdims=True)
            return total

    model = Sum()
    batcher = make(model)
    results = held(model, batcher)
    submit(batcher, results, task(1, 2), task(3, 4))
    model.gate.set()
    assert results[1]["twice"].tolist() == [[3, 3]]
    assert results[2]["twice"].tolist() == [[7, 7]]
    assert model.rows == [1, 4, 2, 2]


def test_a_batch_that_fails_although_its_tasks_succeed_alone_was_too_large(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    class RunsOutOfMemory(Twice):
        def answer(self, x: Tensor) -> Tensor:
            if len(x) > 2:
                raise MemoryError(f"for {len(x)} rows")
            return x * 2

    model = RunsOutOfMemory()
    batcher = make(model)
    for _ in range(2):
        results = held(model, batcher)
        submit(batcher, results, *[task(1)] * 4)
        model.gate.set()
        results.all(5)
    batcher.close()
    assert model.rows == [1, 4, 1, 1, 1, 1, 1, 2, 2]
    assert "4 rows at once failed, 2 are tried next: MemoryError: for 4 rows" in caplog.text


def test_who_waited_too_long_is_told_so_even_while_the_model_hangs(make: Make) -> None:
    model = Twice()
    batcher = make(model, timeout=0.05)
    results = held(model, batcher)
    submit(batcher, results, task(1), task(2))
    late = results.of(1, 2)
    assert [type(each) for each in late] == [Busy, Busy]
    assert late[0].reason == "the model was not free within 0.05 seconds"
    assert results.got[0] is None
    model.gate.set()
    assert results[0]["twice"].tolist() == [[0, 0]]
    assert batcher.predict(task(5))["twice"].tolist() == [[10, 10]]
    assert model.rows == [1, 1]


def test_a_full_queue_takes_no_more_and_says_when_to_try_again(make: Make) -> None:
    model = Twice()
    batcher = make(model, queue=2)
    results = held(model, batcher)
    submit(batcher, results, task(1), task(2))
    with pytest.raises(Busy, match="the queue is full") as refusal:
        batcher.submit(task(3), results.done())
    assert refusal.value.status == 503
    assert 1 <= refusal.value.retry_after <= 30
    del results.got[3]
    model.gate.set()
    results.all(3)
    assert batcher.predict(task(4))["twice"].tolist() == [[8, 8]]


def batcher_takes(batcher: Batcher, results: Results) -> bool:
    done = results.done()
    try:
        batcher.submit(task(3), done)
    except Busy:
        results.got.popitem()
        return False
    return True


def test_closing_finishes_what_is_queued_and_takes_no_more(make: Make) -> None:
    model = Twice()
    batcher = make(model)
    results = held(model, batcher)
    submit(batcher, results, task(1), task(2, width=3))
    closing = threading.Thread(target=batcher.close, daemon=True)
    closing.start()
    while batcher_takes(batcher, results):
        time.sleep(0.001)
    model.gate.set()
    closing.join(AT_ONCE)
    assert not closing.is_alive()
    with pytest.raises(Busy, match="the server is stopping"):
        batcher.predict(task(4))
    assert all("twice" in result for result in results.got.values())
    batcher.close()


def test_closing_an_idle_batcher_ends_its_threads() -> None:
    before = threading.active_count()
    batcher = Batcher(Twice(), settings=BatchSettings(), observe=unobserved)
    assert threading.active_count() > before
    batcher.close()
    assert threading.active_count() == before


def test_nothing_is_lost_when_it_closes_under_load(make: Make) -> None:
    batcher = make(Twice())
    answers: list[object] = []

    def ask() -> None:
        try:
            while True:
                answer = batcher.predict(task(1))
                answers.append(answer["twice"].tolist())
        except Busy:
            answers.append("busy")

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    batcher.close()
    for thread in threads:
        thread.join(AT_ONCE)
    assert answers.count("busy") == len(threads)
    assert answers.count([[2, 2]]) == len(answers) - len(threads)


def test_each_call_hands_over_one_callable_for_all_its_tasks(make: Make) -> None:
    model = Twice()
    delivered: list[Callable[[], None]] = []
    batcher = make(model, deliver=delivered.append)
    results = held(model, batcher)
    submit(batcher, results, task(1), task(2), task(3))
    model.gate.set()
    batcher.close()
    assert len(delivered) == 2
    assert set(results.got.values()) == {None}
    for complete in delivered:
        complete()
    assert results[3]["twice"].tolist() == [[6, 6]]


def test_a_thread_that_waits_for_its_answer_needs_no_event_loop(make: Make) -> None:
    batcher = make(Twice(), deliver=[].append)
    assert batcher.predict(task(1))["twice"].tolist() == [[2, 2]]


def test_an_event_loop_that_is_gone_ends_nothing(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    def closed(complete: Callable[[], None]) -> None:
        raise RuntimeError("Event loop is closed")

    batcher = make(Twice(), deliver=closed)
    batcher.submit(task(1), Results().done())
    assert batcher.predict(task(2))["twice"].tolist() == [[4, 4]]
    batcher.close()
    assert "1 answers could not be delivered: RuntimeError: Event loop is closed" in caplog.text


def test_who_fails_on_his_answer_does_not_keep_others_from_theirs(make: Make) -> None:
    model = Twice()
    batcher = make(model)
    results = held(model, batcher)

    def fails(result: object) -> None:
        raise SystemExit("no taste")

    batcher.submit(task(1), fails)
    submit(batcher, results, task(2))
    model.gate.set()
    assert results[1]["twice"].tolist() == [[4, 4]]
    assert batcher.predict(task(3))["twice"].tolist() == [[6, 6]]


def test_a_fault_in_the_metrics_costs_no_answers(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    def broken(rows: int, seconds: float, waits: object) -> None:
        raise LookupError("no such histogram")

    model = RefusesNegative()
    batcher = make(model, observe=broken)
    results = held(model, batcher)
    submit(batcher, results, task(1), task(-2), task(3))
    model.gate.set()
    assert isinstance(results[2], ValueError)
    assert results[3]["twice"].tolist() == [[6, 6]]
    batcher.close()
    assert "a call could not be observed: LookupError: no such histogram" in caplog.text


def test_every_call_is_observed_with_its_rows_its_duration_and_each_tasks_wait(make: Make) -> None:
    observed: list[tuple[int, float, list[float]]] = []
    model = Twice()
    batcher = make(model, lambda *seen: observed.append(seen))
    results = held(model, batcher)
    submit(batcher, results, task(1), task(2, 3))
    time.sleep(0.02)
    model.gate.set()
    results.all(3)
    batcher.close()
    (first, shared) = observed
    assert first[0] == 1
    assert first[1] >= 0.02
    assert shared[0] == 3
    assert len(shared[2]) == 2
    assert all(AT_ONCE > wait >= 0.02 for wait in shared[2])


@pytest.mark.parametrize("value", [1, -1])
def test_nothing_keeps_a_finished_task(make: Make, value: int) -> None:
    model = RefusesNegative()
    batcher = make(model)
    single = task(value)
    array = weakref.ref(single.batch["x"])
    with suppress(ValueError):
        batcher.predict(single)
    model.calls.clear()
    batcher.predict(task(1))
    del single
    gc.collect()
    assert array() is None


def waiting_for(clients: int, window: float) -> Patience:
    """Knows so many clients, and that their calls cost a second each."""
    return Patience(
        window,
        64,
        Cost(fixed=1.0),
        Crowd(clients),
        rate=1000.0,
        trial=Trial(clients, helped=True, waits=True, rest=1000),
    )


def test_a_batch_waits_for_the_clients_it_knows_and_goes_when_all_are_in(make: Make) -> None:
    model = Twice()
    batcher = make(model, patience=waiting_for(3, window=AT_ONCE))
    batcher.predict(task(*range(64)))
    model.entered.clear()
    results = Results()
    submit(batcher, results, task(1), task(2))
    assert not model.entered.wait(0.05)
    submit(batcher, results, task(3))
    results.all(3)
    assert model.rows == [64, 3]


def test_a_batch_that_is_full_waits_for_nobody(make: Make) -> None:
    model = Twice()
    batcher = make(model, patience=waiting_for(100, window=AT_ONCE))
    results = Results()
    submit(batcher, results, task(*range(60)), task(*range(4)))
    results.all(2)
    assert model.rows == [64]


def test_a_batch_waits_no_longer_than_the_window_for_who_does_not_come(make: Make) -> None:
    model = Twice()
    batcher = make(model, patience=waiting_for(3, window=0.01))
    results = Results()
    submit(batcher, results, task(1), task(2))
    results.all(2)
    assert sum(model.rows) == 2


def test_closing_ends_the_wait_for_others(make: Make) -> None:
    model = Twice()
    batcher = make(model, patience=waiting_for(3, window=AT_ONCE))
    results = Results()
    submit(batcher, results, task(1))
    batcher.close()
    assert results[0]["twice"].tolist() == [[2, 2]]


BRIEF = Patience(0.005, 64, Cost(1e-5))  # a call of which is over at once


class NotedThread(Twice):
    """Keeps which thread called it."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: list[int] = []

    def answer(self, x: Tensor) -> Tensor:
        self.threads.append(threading.get_ident())
        return super().answer(x)


class Loop(list[Callable[[], None]]):
    """What is to be called soon, called when the test says so."""

    def run(self) -> None:
        turn, self[:] = list(self), []
        for call in turn:
            call()


def test_brief_calls_are_made_by_who_submits_and_shared_by_all_that_he_has(make: Make) -> None:
    model, loop, results = NotedThread(), Loop(), Results()
    batcher = make(model, patience=BRIEF, soon=loop.append)
    submit(batcher, results, task(1), task(2), task(3))
    assert model.rows == []
    assert len(loop) == 1
    loop.run()
    assert (model.rows, model.threads) == ([3], [threading.get_ident()])
    assert [each["twice"].tolist() for each in results.all(3)] == [[[2, 2]], [[4, 4]], [[6, 6]]]


def test_what_does_not_fit_together_is_called_in_the_next_turn(make: Make) -> None:
    model, loop, results = NotedThread(), Loop(), Results()
    batcher = make(model, patience=BRIEF, soon=loop.append)
    submit(batcher, results, task(1), task(2, width=3))
    loop.run()
    assert model.rows == [1]
    loop.run()
    assert model.rows == [1, 1]
    assert loop == []


@pytest.mark.parametrize("cost", [Cost(), Cost(0.01), Cost(1e-5, 1e-3)], ids=["unknown", "long", "many rows"])
def test_calls_that_may_last_are_made_by_the_models_own_thread(make: Make, cost: Cost) -> None:
    model, loop, results = NotedThread(), Loop(), Results()
    batcher = make(model, patience=Patience(0.005, 64, cost), soon=loop.append)
    submit(batcher, results, task(1))
    results.all(1)
    assert loop == []
    assert threading.get_ident() not in model.threads


def test_without_batching_every_call_is_made_by_the_models_own_thread(make: Make) -> None:
    model, loop, results = NotedThread(), Loop(), Results()
    batcher = make(model, patience=BRIEF, soon=loop.append, enabled=False)
    submit(batcher, results, task(1), task(2))
    results.all(2)
    assert threading.get_ident() not in model.threads


def test_a_thread_that_waits_for_its_answer_waits_for_no_loop(make: Make) -> None:
    batcher = make(Twice(), patience=BRIEF, soon=Loop().append)
    assert batcher.predict(task(1))["twice"].tolist() == [[2, 2]]


def test_while_the_models_own_thread_calls_it_nobody_else_does(make: Make) -> None:
    model, loop = NotedThread(), Loop()
    batcher = make(model, patience=BRIEF, soon=loop.append)
    model.gate.clear()
    busy = threading.Thread(target=batcher.predict, args=(task(0),))
    busy.start()
    assert model.entered.wait(AT_ONCE)
    results = Results()
    submit(batcher, results, task(1))
    loop.run()
    assert model.calls == []
    model.gate.set()
    assert results[0]["twice"].tolist() == [[2, 2]]
    busy.join()
    assert threading.get_ident() not in model.threads


def test_what_fails_in_a_brief_call_fails_alone(make: Make) -> None:
    loop, results = Loop(), Results()
    batcher = make(RefusesNegative(), patience=BRIEF, soon=loop.append)
    submit(batcher, results, task(1), task(-1))
    loop.run()
    good, bad = results.all(2)
    assert good["twice"].tolist() == [[2, 2]]
    assert isinstance(bad, ValueError)


def test_closing_finishes_what_was_left_for_a_brief_call(make: Make) -> None:
    loop, results = Loop(), Results()
    batcher = make(Twice(), patience=BRIEF, soon=loop.append)
    submit(batcher, results, task(1))
    batcher.close()
    assert results[0]["twice"].tolist() == [[2, 2]]
    loop.run()
