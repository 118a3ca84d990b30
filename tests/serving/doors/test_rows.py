from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest

from serving.doors import rows
from serving.errors import BadRequest, NotRepresentable, Refused, WrongMediaType
from serving.http import Request
from tests.serving.doors.models import ask, echo, person, serve


@pytest.mark.parametrize("key", ["instances", "data"])
def test_rows_are_answered_with_predictions_as_one_line_of_json(key: str) -> None:
    _, answer = ask(echo("float32", 2), rows.predict, {key: [[0.1, 2], [3, 4]]})
    assert answer.status == 200
    assert answer.content_type == "application/json"
    assert answer.body == b'{"predictions":[[0.1,2.0],[3.0,4.0]]}\n'


def test_a_task_holds_the_signature_the_batch_and_the_number_of_rows() -> None:
    task = rows.predict(person(), Request("POST", "/predict", body=b'{"data":[{"age":1,"text":"a"}]}'))
    assert (task.signature, task.rows) == ("serving_default", 1)
    assert {name: array.tolist() for name, array in task.batch.items()} == {"age": [1], "text": [b"a"]}


def test_several_outputs_are_an_object_for_each_row() -> None:
    said, _ = ask(person(), rows.predict, {"data": [{"age": 1, "text": "a"}, {"age": 2, "text": "b"}]})
    assert said == {"predictions": [{"older": 2, "loud": ["A", "!"]}, {"older": 3, "loud": ["B", "!"]}]}


def test_integers_beyond_2_to_the_53_arrive_and_leave_exactly() -> None:
    _, answer = ask(echo("int64"), rows.predict, '{"data": [9007199254740993, -9223372036854775808]}')
    assert answer.body == b'{"predictions":[9007199254740993,-9223372036854775808]}\n'


@pytest.mark.parametrize(
    "row", [{"a": [1, None, True]}, [[1], "x"], None, 1.5, "text", {"b64": "!"}], ids=str
)
def test_a_model_of_json_values_gets_each_row_as_it_came(row: Any) -> None:
    said, _ = ask(echo("json"), rows.predict, {"instances": [row, row]})
    assert said == {"predictions": [row, row]}


def test_bytes_come_and_go_as_base64() -> None:
    said, _ = ask(echo("string"), rows.predict, {"instances": [{"b64": "/w=="}, "ä"]})
    assert said == {"predictions": [{"b64": "/w=="}, "ä"]}


@pytest.mark.parametrize("answer", [np.nan, np.inf, -np.inf])
def test_a_prediction_that_json_cannot_carry_is_refused_with_its_place(answer: float) -> None:
    served = serve(
        {"x": ("float32", (None, 1))},
        {"y": ("float32", (None, 2))},
        lambda x: {"y": x * np.array([0, answer])},
    )
    with pytest.raises(NotRepresentable) as caught:
        ask(served, rows.predict, {"data": [[1]]})
    assert caught.value.field == "predictions[0][1]"


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/vnd.x+json",
        "application/x-www-form-urlencoded",
    ],
)
def test_json_is_read_whatever_kind_of_json_it_says_to_be(content_type: str) -> None:
    said, _ = ask(echo("bool"), rows.predict, {"data": [True]}, {"content-type": content_type})
    assert said == {"predictions": [True]}


@pytest.mark.parametrize("content_type", ["text/csv", "image/png", "multipart/form-data; boundary=x", "json"])
def test_a_body_of_another_type_is_refused(content_type: str) -> None:
    with pytest.raises(WrongMediaType) as caught:
        ask(echo("bool"), rows.predict, {"data": [True]}, {"content-type": content_type})
    assert (caught.value.status, caught.value.field) == (415, "content-type")


def test_a_compressed_body_is_refused() -> None:
    with pytest.raises(WrongMediaType) as caught:
        ask(echo("bool"), rows.predict, {"data": [True]}, {"content-encoding": "gzip"})
    assert caught.value.field == "content-encoding"


# Vertex AI


@pytest.mark.parametrize("parameters", [{}, None])
def test_vertex_may_send_parameters_that_are_empty(parameters: Any) -> None:
    said, _ = ask(
        echo("float32", 1), rows.predict_vertex, {"instances": [[1], [2]], "parameters": parameters}
    )
    assert said == {"predictions": [[1.0], [2.0]]}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"instances": [[1]], "parameters": {"threshold": 0.5}}, "parameters.threshold"),
        ({"instances": [[1]], "parameters": [1]}, "parameters"),
        ({"instances": [["a"]], "parameters": {}}, "instances[0][0]"),
        ({"parameters": {}}, "instances"),
        ({"instances": [[1]], "signature_name": "a"}, "signature_name"),
    ],
)
def test_vertex_is_told_what_is_wrong(body: dict[str, Any], field: str) -> None:
    with pytest.raises(BadRequest) as caught:
        ask(echo("float32", 1), rows.predict_vertex, body)
    assert caught.value.field == field


def test_every_refusal_can_be_written_as_json() -> None:
    with pytest.raises(Refused) as caught:
        ask(echo("float32", 1), rows.predict, '{"\\ud800": NaN}')
    assert orjson.dumps(caught.value.as_json())
