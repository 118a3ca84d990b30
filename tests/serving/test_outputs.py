from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import orjson
import pytest

from serving.errors import NotRepresentable
from serving.outputs import columns_json, rows_json
from serving.tensors import Tensor, objects


def predictions(outputs: dict[str, Tensor]) -> Any:
    return orjson.loads(rows_json(outputs))["predictions"]


def test_the_only_output_is_one_value_a_row() -> None:
    assert predictions({"digit": np.array([[0.5, 0.25], [1, 0]], np.float32)}) == [[0.5, 0.25], [1, 0]]


def test_several_outputs_are_one_object_a_row() -> None:
    outputs = {"score": np.array([0.5, 1]), "kind": np.array([[1], [2]])}
    assert predictions(outputs) == [{"score": 0.5, "kind": [1]}, {"score": 1.0, "kind": [2]}]


def test_columns_are_one_list_or_one_for_each_output() -> None:
    score, kind = np.array([0.5, 1]), np.array([[1], [2]])
    assert columns_json({"score": score}) == b'{"outputs":[0.5,1.0]}\n'
    assert (
        columns_json({"score": score, "kind": kind}) == b'{"outputs":{"score":[0.5,1.0],"kind":[[1],[2]]}}\n'
    )


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.array([0.1, 1e-7, 3.4e38], np.float32), b"[0.1,1e-7,3.4e+38]"),
        (np.array([0.1], np.float64), b"[0.1]"),
        (np.array([0.5, 65504], np.float16), b"[0.5,65504.0]"),
        (np.array([1, -2.5], ml_dtypes.bfloat16), b"[1.0,-2.5]"),
        (np.array([2**63 - 1, -(2**63)], np.int64), b"[9223372036854775807,-9223372036854775808]"),
        (np.array([2**64 - 1], np.uint64), b"[18446744073709551615]"),
        (np.array([True, False]), b"[true,false]"),
        (np.array(["ä"]), '["ä"]'.encode()),
        (np.array([[1, 2], [3, 4]]).T, b"[[1,3],[2,4]]"),
    ],
    ids=lambda value: str(getattr(value, "dtype", "")),
)
@pytest.mark.parametrize("several", [False, True])
def test_every_type_is_written_in_the_fewest_digits_that_keep_it(
    array: Tensor, text: bytes, several: bool
) -> None:
    if several:
        written = columns_json({"a": array, "b": array})
        assert written == b'{"outputs":{"a":' + text + b',"b":' + text + b"}}\n"
        rows = predictions({"a": array, "b": array})
        assert [row["a"] for row in rows] == orjson.loads(text)
    else:
        assert rows_json({"a": array}) == b'{"predictions":' + text + b"}\n"


def test_bytes_are_text_where_they_are_utf_8() -> None:
    assert predictions({"label": np.array(["ä".encode(), b"\xff"], object)}) == ["ä", {"b64": "/w=="}]


def test_nested_bytes_keep_their_shape() -> None:
    assert predictions({"labels": np.array([[b"a", b"b"]], object)}) == [["a", "b"]]


def test_a_model_s_own_json_values_are_written_as_they_are() -> None:
    rows = [{"a": [1, None, "null"]}, [np.float32(0.1), np.array([1, 2])], None, b"x"]
    assert predictions({"out": objects(rows)}) == [{"a": [1, None, "null"]}, [0.1, [1, 2]], None, "x"]


@pytest.mark.parametrize(
    "value", [{1, 2}, {1: 2}, 2**64, "\ud800", object()], ids=lambda value: str(type(value))
)
def test_what_has_no_json_form_is_refused(value: Any) -> None:
    with pytest.raises(NotRepresentable, match=r"^the model's answer has no JSON form: "):
        rows_json({"out": objects([value])})


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ml_dtypes.bfloat16])
@pytest.mark.parametrize(
    ("value", "said"), [(np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf")], ids=["nan", "inf", "-inf"]
)
def test_what_json_cannot_carry_is_refused_with_its_field(value: float, said: str, dtype: Any) -> None:
    with pytest.raises(NotRepresentable) as caught:
        rows_json({"digit": np.array([[0, 1], [0, value]], dtype)})
    assert caught.value.as_json() == {
        "error": f"the model answered {said} for this input, which JSON cannot carry",
        "field": "predictions[1][1]",
    }


@pytest.mark.parametrize(
    "value", [{"a": [0, {"b": np.nan}]}, (np.inf,), np.float32(np.nan), [np.array([np.nan])]], ids=str
)
def test_nan_deep_in_a_json_value_is_refused_with_its_row(value: Any) -> None:
    with pytest.raises(NotRepresentable) as caught:
        rows_json({"out": objects([None, value])})
    assert caught.value.field == "predictions[1]"


def test_the_field_of_one_of_several_outputs_has_its_name() -> None:
    outputs: dict[str, Any] = {"a": np.array([1.0]), "b": np.array([np.nan])}
    with pytest.raises(NotRepresentable) as in_rows:
        rows_json(outputs)
    with pytest.raises(NotRepresentable) as in_columns:
        columns_json(outputs)
    assert (in_rows.value.field, in_columns.value.field) == ("predictions[0].b", "outputs.b[0]")
