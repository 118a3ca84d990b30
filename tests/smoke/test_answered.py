from __future__ import annotations

import json

import pytest

from ml_containerize.results import CaseResult
from ml_containerize.smoke.answered import answered, request_hash, within_bounds
from ml_containerize.smoke.interface import parse_interface


def test_the_same_request_has_the_same_hash_however_it_is_written() -> None:
    written = '{"data": [[1.0, 2.50]], "é": 1}'
    other = '{ "\\u00e9":1, "data":[[1.0,2.5]] }'
    assert request_hash(json.loads(written)) == request_hash(json.loads(other))
    assert request_hash({"data": [1.0]}) != request_hash({"data": [1.5]})


def test_predictions_are_kept_in_their_order_and_nothing_else_of_the_answer() -> None:
    kept = answered(200, {"predictions": [{"b": [0.25, 0.5], "a": "x"}], "took_ms": 7})
    assert (kept.status, kept.count, kept.values) == (200, 3, ("x", 0.25, 0.5))
    assert kept == answered(200, {"took_ms": 9, "predictions": [{"a": "x", "b": [0.25, 0.5]}]})


@pytest.mark.parametrize("other", [[[1.0]], [1.0, 2.0], {"y": [1.0]}, 1.0, [{"y": 1.0}]])
def test_answers_of_other_shapes_have_other_forms(other: object) -> None:
    assert answered(200, {"predictions": other}).form != answered(200, {"predictions": [1.0]}).form


def test_rows_of_different_lengths_are_a_form_too() -> None:
    one, other = ([[1.0], [1.0, 2.0]], [[1.0, 2.0], [1.0]])
    assert answered(200, {"predictions": one}).form != answered(200, {"predictions": other}).form


def test_a_refusal_is_kept_without_its_words() -> None:
    assert answered(400, {"error": "no"}) == answered(400, {"error": "not today"})


def test_of_a_large_answer_evenly_spread_values_are_kept() -> None:
    kept = answered(200, {"predictions": [float(number) for number in range(150_528)]})
    assert kept.count == 150_528
    assert 1000 < len(kept.values) <= 1024
    assert kept.values[:3] == (0.0, 147.0, 294.0)


def test_values_that_json_does_not_have_and_long_texts_are_kept_as_texts() -> None:
    kept = answered(200, {"predictions": [float("nan"), float("-inf"), "x" * 1000, True, None, 10**400]})
    assert kept.values[0:2] == ("nan", "-inf")
    assert str(kept.values[2]).startswith("sha256:")
    assert kept.values[3:] == (True, None, 10**400)


def test_after_too_many_values_in_all_no_more_answers_are_kept() -> None:
    large = answered(200, {"predictions": [1.0] * 1024})
    cases = [CaseResult(str(number), True, 1.0, answered=large) for number in range(70)]
    kept = [bool(case.answered) for case in within_bounds(cases)]
    assert kept == [True] * 64 + [False] * 6


def test_the_interface_is_read_from_the_servers_metadata() -> None:
    told = {
        "name": "digits",
        "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 8, 8]}],
        "outputs": [],
    }
    found = parse_interface(told)
    assert found
    assert [(one.name, one.datatype, one.shape) for one in found.inputs] == [("image", "FP32", (-1, 8, 8))]


@pytest.mark.parametrize(
    "told", [{}, {"inputs": 1, "outputs": 2}, {"inputs": [1], "outputs": []}, {"inputs": [{}], "outputs": []}]
)
def test_a_server_that_tells_no_interface_has_none(told: dict[str, object]) -> None:
    assert parse_interface(told) is None
