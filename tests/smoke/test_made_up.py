from __future__ import annotations

from typing import Any

import pytest

from ml_containerize.smoke.made_up import made_up_requests


def made_up(*inputs: tuple[str, str, list[int | None] | None]) -> dict[str, Any]:
    specs = [{"name": name, "dtype": dtype, "shape": shape} for name, dtype, shape in inputs]
    return made_up_requests({"inputs": specs, "outputs": []})


def test_zeros_and_different_rows_of_the_right_types_are_made_up() -> None:
    requests = made_up(
        ("weight", "float64", [None]),
        ("ids", "int64", [None, None, 2]),
        ("is_new", "bool", [None]),
        ("note", "string", [None, 1]),
    )
    zeros, several = (requests[name]["instances"] for name in ("zeros", "made-up"))
    assert zeros == [{"weight": 0.0, "ids": [[0, 0]], "is_new": False, "note": ["text"]}]
    assert [row["weight"] for row in several] == [0.0, 0.3, 0.6]
    assert [row["ids"] for row in several] == [[[0, 1]], [[1, 0]], [[0, 1]]]
    assert [row["is_new"] for row in several] == [False, True, False]
    assert [row["note"] for row in several] == [["text 0"], ["text 1"], ["text 2"]]


def test_a_model_of_a_fixed_number_of_rows_gets_that_many() -> None:
    requests = made_up(("x", "float32", [2, 1]))
    assert {name: len(request["instances"]) for name, request in requests.items()} == {
        "zeros": 2,
        "made-up": 2,
    }


def test_an_input_of_free_rank_gets_a_number() -> None:
    assert made_up(("x", "float32", None))["zeros"] == {"instances": [0.0]}


def test_one_row_has_to_do_where_rows_are_large() -> None:
    (request,) = made_up(("image", "uint8", [None, 32, 32, 3])).values()
    (image,) = request["instances"]
    assert (len(image), len(image[0]), len(image[0][0])) == (32, 32, 3)
    assert {value for row in image for pixel in row for value in pixel} == {0, 1}


@pytest.mark.parametrize(
    "shape",
    [("instances", "json", [None]), ("image", "float32", [None, 1024, 1024, 3])],
    ids=["json", "large"],
)
def test_nothing_is_made_up_where_the_signature_tells_too_little_or_the_case_would_be_too_large(
    shape: tuple[str, str, list[int | None]],
) -> None:
    assert made_up(shape) == {}
