from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from serving.errors import NotRepresentable
from serving.outputs import predictions


def test_the_only_output_is_one_value_a_row() -> None:
    assert predictions({"digit": np.array([[0.5, 0.25], [1, 0]], np.float32)}) == [[0.5, 0.25], [1, 0]]


def test_several_outputs_are_one_object_a_row() -> None:
    outputs = {"score": np.array([0.5, 1]), "kind": np.array([[1], [2]])}
    assert predictions(outputs) == [{"score": 0.5, "kind": [1]}, {"score": 1.0, "kind": [2]}]


def test_bytes_are_text_where_they_are_utf_8() -> None:
    assert predictions({"label": np.array(["ä".encode(), b"\xff"], object)}) == ["ä", {"b64": "/w=="}]


def test_nested_bytes_keep_their_shape() -> None:
    assert predictions({"labels": np.array([[b"a", b"b"]], object)}) == [["a", "b"]]


@pytest.mark.parametrize(
    ("value", "said"), [(np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf")], ids=["nan", "inf", "-inf"]
)
def test_what_json_cannot_carry_is_refused_with_its_field(value: float, said: str) -> None:
    with pytest.raises(NotRepresentable) as caught:
        predictions({"digit": np.array([[0, 1], [0, value]])})
    assert caught.value.as_json() == {
        "error": f"the model answered {said} for this input, which JSON cannot carry",
        "field": "predictions[1][1]",
    }


def test_the_field_of_one_of_several_outputs_has_its_name() -> None:
    outputs: dict[str, Any] = {"a": np.array([1.0]), "b": np.array([np.nan])}
    with pytest.raises(NotRepresentable) as caught:
        predictions(outputs)
    assert caught.value.field == "predictions[0].b"
