from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from serving.batching.joining import NotByRows, joined, kind, parted, takes_any_rows
from serving.doors import Outputs, Task
from serving.http import Answer
from serving.signature import Shape, Signature, TensorSpec


def write(outputs: Outputs) -> Answer:
    return Answer(200, str(sorted(outputs)).encode())


def task(name: str = "serving_default", **batch: Any) -> Task:
    arrays = {name: np.asarray(array) for name, array in batch.items()}
    return Task(name, arrays, len(next(iter(arrays.values()))), write)


@pytest.mark.parametrize(
    ("shape", "any_rows"), [((None, 2), True), (None, True), ((1, 2), False), ((8,), False)]
)
def test_a_signature_takes_any_number_of_rows_unless_an_input_fixes_it(shape: Shape, any_rows: bool) -> None:
    free = TensorSpec("a", "float32", (None,))
    assert takes_any_rows(Signature((free, TensorSpec("b", "float32", shape)), (free,))) is any_rows


def test_tasks_of_any_length_are_of_one_kind() -> None:
    assert kind(task(a=[1.0], b=[[1, 2]])) == kind(task(b=[[3, 4], [5, 6]], a=[1.0, 2.0]))


@pytest.mark.parametrize(
    "other",
    [
        task(a=[[1.0, 2.0, 3.0]]),
        task(a=np.array([[1.0, 2.0]], np.float32)),
        task(b=[[1.0, 2.0]]),
        task(a=[[1.0, 2.0]], b=[1]),
        task("other", a=[[1.0, 2.0]]),
    ],
    ids=["row shape", "data type", "input name", "more inputs", "signature"],
)
def test_tasks_that_differ_in_more_than_their_length_are_of_different_kinds(other: Task) -> None:
    assert kind(other) != kind(task(a=[[1.0, 2.0]]))


def test_the_rows_of_all_tasks_follow_each_other_in_every_input() -> None:
    batch = joined([task(a=[1, 2], b=[b"x", b"y"]), task(a=[3], b=[b"z"])])
    assert {name: array.tolist() for name, array in batch.items()} == {
        "a": [1, 2, 3],
        "b": [b"x", b"y", b"z"],
    }


def test_outputs_are_parted_as_the_tasks_were_joined() -> None:
    outputs = {"y": np.arange(3), "z": np.arange(6).reshape(3, 2)}
    first, second = parted(outputs, [task(a=[1, 2]), task(a=[3])])
    assert [array.tolist() for array in first.values()] == [[0, 1], [[0, 1], [2, 3]]]
    assert [array.tolist() for array in second.values()] == [[2], [[4, 5]]]


@pytest.mark.parametrize("output", [np.zeros(()), np.zeros(2), np.zeros((4, 3))])
def test_outputs_without_an_element_for_each_row_cannot_be_parted(output: Any) -> None:
    with pytest.raises(NotByRows, match=r"the output 'y' has the shape .* for 3 rows"):
        parted({"y": output}, [task(a=[1, 2]), task(a=[3])])


def test_a_single_task_gets_whatever_the_model_gave() -> None:
    outputs = {"y": np.zeros(())}
    assert parted(outputs, [task(a=[1, 2])]) == [outputs]
