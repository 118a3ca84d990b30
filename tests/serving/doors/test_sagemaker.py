from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from serving.doors import sagemaker
from serving.errors import BadRequest, NotRepresentable, WrongMediaType
from serving.served import Served
from tests.serving.doors.models import ask, echo, person, serve

CSV = {"content-type": "text/csv"}
CSV_BOTH_WAYS = {**CSV, "accept": "text/csv"}


def test_json_is_answered_as_at_predict() -> None:
    said, answer = ask(echo("float32", 2), sagemaker.predict, {"instances": [[1, 2]]})
    assert said == {"predictions": [[1.0, 2.0]]}
    assert answer.content_type == "application/json"


@pytest.mark.parametrize(
    "body", ["1,2\n3,4\n", "1,2\n3,4", "1,2\r\n3,4\r\n", ' 1, +2.0\n"3",4e0\n', "\ufeff1,2\n3,4"]
)
def test_lines_of_numbers_are_rows(body: str) -> None:
    said, _ = ask(echo("float32", 2), sagemaker.predict, body, CSV)
    assert said == {"predictions": [[1.0, 2.0], [3.0, 4.0]]}


@pytest.mark.parametrize(
    ("served", "expected"),
    [
        (echo("float32", 2, 1), [[[1.0], [2.0]]]),
        (echo("float64", None), [[1.0, 2.0]]),
        (echo("int64", 2), [[1, 2]]),
        (serve({"x": ("float32", None)}, {"y": ("float32", None)}, lambda x: {"y": x}), [[1.0, 2.0]]),
    ],
)
def test_a_line_has_the_elements_of_a_row_one_after_the_other(served: Served, expected: Any) -> None:
    assert ask(served, sagemaker.predict, "1,2", CSV)[0] == {"predictions": expected}


def test_a_column_of_numbers_is_enough_where_a_row_is_one_number() -> None:
    assert ask(echo("int64"), sagemaker.predict, "9007199254740993\n2", CSV)[1].body == (
        b'{"predictions":[9007199254740993,2]}\n'
    )


@pytest.mark.parametrize(
    "accept", ["text/csv", "TEXT/CSV; header=absent", "text/csv, application/json", "image/png, text/csv"]
)
def test_the_answer_is_csv_where_that_is_accepted_first(accept: str) -> None:
    _, answer = ask(echo("float32", 2), sagemaker.predict, "0.1,2\n3,4", {**CSV, "accept": accept})
    assert (answer.content_type, answer.body) == ("text/csv", b"0.1,2.0\n3.0,4.0\n")


@pytest.mark.parametrize("accept", ["application/json", "*/*", "", "application/json, text/csv", "image/png"])
def test_the_answer_is_json_elsewhere(accept: str) -> None:
    said, _ = ask(echo("float32", 2), sagemaker.predict, "1,2", {**CSV, "accept": accept})
    assert said == {"predictions": [[1.0, 2.0]]}


def test_text_is_quoted_in_csv_where_it_must_be() -> None:
    _, answer = ask(echo("string", 2), sagemaker.predict, {"data": [["a,b", "c"]]}, {"accept": "text/csv"})
    assert answer.body == b'"a,b",c\n'


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        ("", "rows", "has no rows"),
        ("1,2\n\n3,4", "rows[1][0]", "is '', expected a number"),
        ("age,size\n1,2", "rows[0][0]", "is 'age', expected a number"),
        ("1,2\n3", "rows[1]", "has length 1, expected 2"),
        ("1,2\n3,nan", "rows[1][1]", "is 'nan', expected a number"),
        ("1,inf", "rows[0][1]", "is 'inf', expected a number"),
        ("1,1_000", "rows[0][1]", "is '1_000', expected a number"),
        ("1,1e39", "rows[0][1]", "is beyond the range of float32"),
        ("1,1e999", "rows[0][1]", "is beyond the range of float32"),
        ("1,٣", "rows[0][1]", "is '٣', expected a number"),
        ("1,2\n" * 101, "rows", "has 101 rows, at most 100 are answered at once"),
        (b"1,\xff", "", "the body is not UTF-8 (byte 2)"),
    ],
)
def test_a_wrong_cell_is_refused_with_its_row_and_column(body: Any, field: str, reason: str) -> None:
    with pytest.raises(BadRequest) as caught:
        ask(echo("float32", 2), sagemaker.predict, body, CSV)
    assert (caught.value.field, caught.value.reason) == (field, reason)


@pytest.mark.parametrize(
    "served", [person(), echo("string"), echo("json"), echo("bool"), echo("float32", None, None)]
)
def test_csv_is_refused_where_a_model_needs_more_than_a_row_of_numbers(served: Served) -> None:
    with pytest.raises(BadRequest) as caught:
        ask(served, sagemaker.predict, "1", CSV)
    assert caught.value.field == "content-type"


def test_csv_is_no_answer_of_several_outputs() -> None:
    body = {"data": [{"age": 1, "text": "a"}]}
    with pytest.raises(BadRequest) as caught:
        ask(person(), sagemaker.predict, body, {"accept": "text/csv"})
    assert caught.value.field == "accept"


def test_nan_is_refused_in_csv_too() -> None:
    served = serve(
        {"x": ("float32", (None, 1))}, {"y": ("float32", (None,))}, lambda x: {"y": x[:, 0] * np.nan}
    )
    with pytest.raises(NotRepresentable) as caught:
        ask(served, sagemaker.predict, "1", CSV_BOTH_WAYS)
    assert caught.value.field == "predictions[0]"


def test_another_type_is_refused() -> None:
    with pytest.raises(WrongMediaType, match="expected application/json or text/csv"):
        ask(echo("float32", 2), sagemaker.predict, "1,2", {"content-type": "application/x-recordio-protobuf"})
