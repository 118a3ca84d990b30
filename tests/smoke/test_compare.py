from __future__ import annotations

from typing import Any

import pytest

from ml_containerize.smoke.cases import Tolerance
from ml_containerize.smoke.compare import compare, shape_of, show_prediction

TOLERANCE = Tolerance(rtol=1e-4, atol=1e-6)


def differences(expected: Any, got: Any) -> list[str]:
    return compare({"predictions": expected}, {"predictions": got}, TOLERANCE)


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        ([[0.5, 0.25]], [[0.50004, 0.25]]),
        ([[0.0]], [[1e-6]]),
        ([7, 3], [7, 3]),
        (["seven"], ["seven"]),
        ([[0, 0.5]], [[0.0, 0.5]]),
        ([{"a": [0.5], "label": "x"}], [{"a": [0.5], "label": "x"}]),
        ([[1.0], [2.0, 3.0]], [[1.0], [2.0, 3.0]]),
        ([None], [None]),
        (0.5, 0.5),
    ],
)
def test_answers_within_tolerance_match(expected: Any, got: Any) -> None:
    assert differences(expected, got) == []


def test_the_element_that_is_furthest_off_is_named_with_how_much() -> None:
    (problem,) = differences([[0.1, 0.5, 0.4]], [[0.1, 0.51, 0.40005]])
    assert problem == (
        "predictions[0][1] is 0.51, expected 0.5: off by 0.01 where 5.1e-05 is allowed; "
        "2 of 3 elements are off"
    )


def test_a_shape_that_differs_is_told_as_shapes() -> None:
    assert differences([[0.1, 0.9]], [[0.1], [0.9]]) == ["predictions has shape (2, 1), expected (1, 2)"]
    assert differences([[0.1]], 0.1) == ["predictions has shape (), expected (1, 1)"]
    assert differences([[0.1]], [[0.1], [0.2, 0.3]]) == [
        "predictions has shape with rows of different lengths, expected (1, 1)"
    ]


@pytest.mark.parametrize(
    ("expected", "got", "problem"),
    [
        ([0.0, 1.0], [0, 1], "predictions holds integers, expected floating-point numbers"),
        ([7], ["7"], "predictions holds strings, expected integers"),
        ([1], [True], "predictions holds true or false, expected integers"),
        ([0.5], [None], "predictions holds null, expected floating-point numbers"),
    ],
)
def test_a_kind_that_differs_is_told_as_kinds(expected: Any, got: Any, problem: str) -> None:
    assert differences(expected, got) == [problem]


def test_integers_and_labels_must_be_equal() -> None:
    assert differences([1_000_000, 2], [1_000_001, 2]) == [
        "predictions[0] is 1000001, expected 1000000; 1 of 2 elements are off"
    ]
    assert compare({"labels": ["seven"]}, {"labels": ["one"]}, TOLERANCE) == [
        'labels[0] is "one", expected "seven"'
    ]


def test_a_null_among_numbers_is_a_difference() -> None:
    assert differences([0.5, 0.5], [0.5, None]) == [
        "predictions[1] is null, expected 0.5; 1 of 2 elements are off"
    ]


def test_nan_never_matches() -> None:
    assert differences([0.5], [float("nan")])


def test_an_integer_too_large_for_a_double_is_a_difference_and_not_a_crash() -> None:
    assert differences([0.5, 1.0], [10**400, 1.0])


def test_named_outputs_are_compared_each_by_its_name() -> None:
    assert differences([{"a": [0.5], "b": 1}], [{"a": [0.6], "b": 1}]) == [
        "predictions[0].a[0] is 0.6, expected 0.5: off by 0.1 where 5.1e-05 is allowed"
    ]
    assert differences([{"a": 1}], [{"c": 1}]) == ["predictions[0] is {c}, expected {a}"]


def test_a_missing_key_is_told_and_further_keys_are_left_alone() -> None:
    answer = {"predictions": [1], "took_ms": 3}
    assert compare({"predictions": [1], "labels": ["x"]}, answer, TOLERANCE) == [
        "the answer has no 'labels' (it has predictions, took_ms)"
    ]


def test_an_answer_that_is_no_object_is_told() -> None:
    assert compare({"predictions": [1]}, [1], TOLERANCE) == ["the answer is a list, not an object"]


def test_the_shape_of_nested_lists_is_an_arrays_shape() -> None:
    assert shape_of([[1, 2, 3], [4, 5, 6]]) == (2, 3)
    assert shape_of([]) == (0,)
    assert shape_of([[1], [1, 2]]) is None


def test_a_prediction_is_shown_short_for_people() -> None:
    assert show_prediction({"predictions": [[0.0, 0.00012, 0.99981, 0.0, 0.0]]}) == (
        "[0, 0.0001, 0.9998, 0, … 5 in all], largest at 2"
    )
    assert show_prediction({"predictions": [3], "labels": ["seven"]}) == '"seven"'
    assert show_prediction({"predictions": [3]}) == "3"
    assert show_prediction({}) == "null"
