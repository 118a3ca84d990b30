"""TensorFlow Serving's documentation by its own examples, https://www.tensorflow.org/tfx/serving/api_rest."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest

from serving.doors import v1
from serving.errors import BadRequest, NotRepresentable
from serving.http import Request
from serving.served import Served
from tests.serving.doors.models import ask, echo, half_plus, person, serve, two_signatures

GET = Request("GET", "/")


def told(served: Served, inform: Any) -> Any:
    return orjson.loads(inform(served, GET).body)


# Recorded examples


def test_half_plus_two_answers_as_documented() -> None:
    said, _ = ask(half_plus(2, "half_plus_two"), v1.predict, '{"instances": [1.0, 2.0, 5.0]}')
    assert said == {"predictions": [2.5, 3.0, 4.5]}


def test_half_plus_three_answers_as_documented_to_what_curl_sends() -> None:
    said, _ = ask(
        half_plus(3, "half_plus_three"),
        v1.predict,
        '{"instances": [1.0,2.0,5.0]}',
        {"content-type": "application/x-www-form-urlencoded"},
    )
    assert said == {"predictions": [3.5, 4.0, 5.5]}


def test_the_status_is_as_documented_and_also_what_kserve_asks_for() -> None:
    status = told(half_plus(3, "half_plus_three"), v1.status)
    assert status["model_version_status"] == [
        {"version": "123", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    ]
    assert (status["name"], status["ready"]) == ("half_plus_three", True)


SENSORS = serve(
    {"tag": ("string", (None,)), "signal": ("float32", (None, 5)), "sensor": ("float32", (None, 2, 2))},
    {"tag": ("string", (None,)), "sum": ("float32", (None,))},
    lambda tag, signal, sensor: {"tag": tag, "sum": signal.sum(1) + sensor.sum((1, 2))},
)
ROWS = """{
 "instances": [
   {"tag": "foo", "signal": [1, 2, 3, 4, 5], "sensor": [[1, 2], [3, 4]]},
   {"tag": "bar", "signal": [3, 4, 1, 2, 5], "sensor": [[4, 5], [6, 8]]}
 ]
}"""
COLUMNS = """{
 "inputs": {
   "tag": ["foo", "bar"],
   "signal": [[1, 2, 3, 4, 5], [3, 4, 1, 2, 5]],
   "sensor": [[[1, 2], [3, 4]], [[4, 5], [6, 8]]]
 }
}"""


def test_the_documented_rows_are_answered_with_an_object_for_each() -> None:
    said, _ = ask(SENSORS, v1.predict, ROWS)
    assert said == {"predictions": [{"tag": "foo", "sum": 25.0}, {"tag": "bar", "sum": 38.0}]}


def test_the_documented_columns_are_answered_with_columns() -> None:
    said, _ = ask(SENSORS, v1.predict, COLUMNS)
    assert said == {"outputs": {"tag": ["foo", "bar"], "sum": [25.0, 38.0]}}


def test_rows_of_strings_are_as_documented() -> None:
    said, _ = ask(echo("string"), v1.predict, '{"instances": ["foo", "bar", "baz"]}')
    assert said == {"predictions": ["foo", "bar", "baz"]}


def test_rows_of_nested_lists_are_as_documented() -> None:
    said, _ = ask(echo("int32", 1, 2), v1.predict, '{"instances": [[[1, 2]], [[3, 4]]]}')
    assert said == {"predictions": [[[1, 2]], [[3, 4]]]}


def test_base64_stands_for_bytes_as_documented() -> None:
    served = serve(
        {"image": ("string", (None,)), "caption": ("string", (None,))},
        {"text": ("string", (None,))},
        lambda image, caption: {"text": image + b" " + caption},
    )
    body = """{"instances": [
      {"image": { "b64": "aW1hZ2UgYnl0ZXM=" }, "caption": "seaside"},
      {"image": { "b64": "YXdlc29tZSBpbWFnZSBieXRlcw==" }, "caption": "mountains"}
    ]}"""
    said, _ = ask(served, v1.predict, body)
    assert said == {"predictions": ["image bytes seaside", "awesome image bytes mountains"]}


def test_kserve_s_iris_is_answered() -> None:
    """https://kserve.github.io/website/latest/get_started/first_isvc/"""
    served = serve(
        {"x": ("float64", (None, 4))}, {"y": ("int64", (None,))}, lambda x: {"y": (x[:, 2] > 2).astype(int)}
    )
    said, _ = ask(served, v1.predict, '{"instances": [[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6]]}')
    assert said == {"predictions": [1, 1]}


# What goes beyond


def test_the_only_input_may_come_as_a_column_with_and_without_its_name() -> None:
    for inputs in ([1.0, 2.0], {"x": [1.0, 2.0]}):
        said, _ = ask(half_plus(2, "m"), v1.predict, {"inputs": inputs})
        assert said == {"outputs": [2.5, 3.0]}


def test_a_signature_is_chosen_by_name() -> None:
    for name, expected in (("negate", [[-1, -2]]), ("serving_default", [[2, 4]]), ("", [[2, 4]])):
        body = {"signature_name": name, "instances": [[1, 2]]}
        assert ask(two_signatures(), v1.predict, body)[0] == {"predictions": expected}


def test_outputs_whose_name_ends_in_bytes_are_base64() -> None:
    served = serve(
        {"x": ("string", (None,))},
        {"x_bytes": ("string", (None, 1))},
        lambda x: {"x_bytes": x.reshape(-1, 1)},
    )
    said, _ = ask(served, v1.predict, {"instances": ["a"]})
    assert said == {"predictions": [[{"b64": "YQ=="}]]}


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        ({}, "instances", "the body has neither 'instances' nor 'inputs'"),
        ({"instances": [], "inputs": []}, "inputs", "the body has both 'instances' and 'inputs', send one"),
        ({"examples": []}, "examples", "unknown key 'examples'"),
        ({"instances": [{"age": 1}]}, "instances[0]", "lacks the input 'text'"),
        ({"instances": [{"age": 1, "text": {"b64": "?"}}]}, "instances[0].text.b64", "is not base64"),
        ({"instances": [{"age": 1, "text": {"b64": 1}}]}, "instances[0].text.b64", "is not base64"),
        ({"instances": [{"age": 1, "text": {"b65": ""}}]}, "instances[0].text", "is an object"),
        ({"inputs": [1]}, "inputs", "is a list, expected an object with the inputs age, text"),
        ({"inputs": {"age": [1]}}, "inputs", "lacks the input 'text'"),
        ({"inputs": {"age": [1], "text": ["a"], "x": 1}}, "inputs.x", "unknown input 'x'"),
        ({"inputs": {"age": 1, "text": ["a"]}}, "inputs.age", "is a number, expected a list of rows"),
        ({"inputs": {"age": [], "text": []}}, "inputs.age", "has no rows"),
        ({"inputs": {"age": [1] * 101, "text": ["a"]}}, "inputs.age", "has 101 rows, at most 100"),
        ({"inputs": {"age": [1, 2], "text": ["a"]}}, "inputs.text", "has 1 rows, but inputs.age has 2"),
        (
            {"inputs": {"age": [1, "2"], "text": ["a", "b"]}},
            "inputs.age[1]",
            "is a string, expected an integer",
        ),
        ({"instances": [1], "signature_name": "x"}, "signature_name", "unknown signature 'x'"),
        ({"instances": [1], "signature_name": 1}, "signature_name", "is a number, expected a string"),
        ({"instances": [1], "parameters": {"a": 1}}, "parameters.a", "unknown key 'a', expected none"),
        ('{"inputs": {"age": [NaN], "text": ["a"]}}', "inputs.age[0]", "is NaN, which is no number"),
        ('{"instances": [{"age": 1e999, "text": "a"}]}', "instances[0].age", "is inf"),
    ],
)
def test_a_wrong_request_is_refused_with_its_field(body: Any, field: str, reason: str) -> None:
    with pytest.raises(BadRequest) as caught:
        ask(person(), v1.predict, body)
    assert caught.value.field == field
    assert caught.value.reason.startswith(reason)


def test_the_metadata_is_a_signature_def_for_each_signature() -> None:
    metadata = told(two_signatures(), v1.metadata)
    assert metadata["model_spec"] == {"name": "m", "signature_name": "", "version": "1"}
    signatures = metadata["metadata"]["signature_def"]["signature_def"]
    assert list(signatures) == ["serving_default", "negate"]
    assert signatures["negate"] == {
        "inputs": {
            "x": {
                "dtype": "DT_FLOAT",
                "tensor_shape": {
                    "dim": [{"size": "-1", "name": ""}, {"size": "2", "name": ""}],
                    "unknown_rank": False,
                },
                "name": "x",
            }
        },
        "outputs": {
            "y": {
                "dtype": "DT_FLOAT",
                "tensor_shape": {
                    "dim": [{"size": "-1", "name": ""}, {"size": "2", "name": ""}],
                    "unknown_rank": False,
                },
                "name": "y",
            }
        },
        "method_name": "tensorflow/serving/predict",
    }


def test_a_free_rank_is_told() -> None:
    served = serve({"x": ("string", None)}, {"y": ("json", (None,))}, lambda x: {"y": x})
    tensors = told(served, v1.metadata)["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert tensors["inputs"]["x"]["tensor_shape"] == {"dim": [], "unknown_rank": True}
    assert (tensors["inputs"]["x"]["dtype"], tensors["outputs"]["y"]["dtype"]) == ("DT_STRING", "DT_VARIANT")


@pytest.mark.parametrize(
    ("dtype", "name"),
    [("int64", "DT_INT64"), ("bool", "DT_BOOL"), ("bfloat16", "DT_BFLOAT16"), ("float16", "DT_HALF")],
)
def test_types_have_tensorflow_s_names(dtype: str, name: str) -> None:
    tensors = told(echo(dtype), v1.metadata)["metadata"]["signature_def"]["signature_def"]
    assert tensors["serving_default"]["inputs"]["x"]["dtype"] == name


def test_kserve_s_list_of_models_has_the_model() -> None:
    assert told(person(), v1.models) == {"models": ["m"]}


def test_a_column_that_json_cannot_carry_is_refused_with_its_place() -> None:
    served = serve(
        {"x": ("float32", (None,))}, {"y": ("float32", (None,))}, lambda x: {"y": x / np.float32(0)}
    )
    with np.errstate(divide="ignore"), pytest.raises(NotRepresentable) as caught:
        ask(served, v1.predict, {"inputs": [1]})
    assert caught.value.field == "outputs[0]"
