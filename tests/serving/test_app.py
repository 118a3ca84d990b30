from __future__ import annotations

import json
import logging
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from serving.app import create_app
from serving.runtimes import Model


def client(model: Model | None, **settings: Any) -> FlaskClient:
    return create_app(lambda: model, **settings).test_client()


def test_predictions_come_one_for_each_row(doubler: Model) -> None:
    answer = client(doubler).post("/predict", json={"instances": [[1, 2], [3, 4.5]]})
    assert answer.status_code == 200
    assert answer.get_json() == {"predictions": [[2.0, 4.0], [6.0, 9.0]]}
    assert answer.content_type == "application/json"


def test_the_classic_data_key_is_answered_alike(doubler: Model) -> None:
    assert client(doubler).post("/predict", json={"data": [[1, 2]]}).get_json() == {
        "predictions": [[2.0, 4.0]]
    }


def test_the_content_type_does_not_matter(doubler: Model) -> None:
    form = "application/x-www-form-urlencoded"  # what curl -d sends
    answer = client(doubler).post("/predict", data=b'{"data": [[1, 2]]}', content_type=form)
    assert answer.get_json() == {"predictions": [[2.0, 4.0]]}


def test_the_signature_is_described_with_what_is_known_of_the_image(doubler: Model) -> None:
    answer = client(doubler, about={"git_sha": "abc", "model_hash": "def"}).get("/")
    assert answer.get_json() == {
        "git_sha": "abc",
        "model_hash": "def",
        "device": "cpu",
        "inputs": [{"name": "numbers", "dtype": "float32", "shape": [None, 2]}],
        "outputs": [{"name": "doubled", "dtype": "float32", "shape": [None, 2]}],
    }


def test_a_server_is_alive_before_it_is_ready() -> None:
    loading = client(None)
    assert loading.get("/healthz").status_code == 200
    for answer in (
        loading.get("/readyz"),
        loading.get("/"),
        loading.post("/predict", json={"data": [[1, 2]]}),
    ):
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "1"
        assert answer.get_json() == {"error": "the model is not loaded yet"}


def test_a_server_with_a_model_is_ready(doubler: Model) -> None:
    assert client(doubler).get("/readyz").get_json() == {"status": "ready"}


def test_bad_input_is_refused_with_reason_and_field(doubler: Model) -> None:
    answer = client(doubler).post("/predict", json={"instances": [[1, 2], [3, "4"]]})
    assert answer.status_code == 400
    assert answer.get_json() == {"error": "is a string, expected a number", "field": "instances[1][1]"}


def test_no_body_is_refused(doubler: Model) -> None:
    answer = client(doubler).post("/predict")
    assert answer.status_code == 400
    assert answer.get_json()["error"].startswith("the body is not JSON")


def test_a_body_over_the_limit_is_refused_unread(doubler: Model) -> None:
    answer = client(doubler, max_body=10).post("/predict", json={"data": [[1, 2]]})
    assert answer.status_code == 413
    assert answer.get_json() == {"error": "the body is larger than 10 bytes"}


def test_more_rows_than_allowed_are_refused(doubler: Model) -> None:
    answer = client(doubler, max_rows=1).post("/predict", json={"data": [[1, 2], [3, 4]]})
    assert answer.get_json() == {"error": "has 2 rows, at most 1 are answered at once", "field": "data"}


def test_an_answer_that_json_cannot_carry_is_no_server_error(doubler: Model) -> None:
    with np.errstate(over="ignore"):
        answer = client(doubler).post("/predict", json={"data": [[3e38, 1]]})
    assert answer.status_code == 422
    assert answer.get_json()["field"] == "predictions[0][0]"


def test_a_model_that_raises_keeps_its_trace_in_the_log(
    doubler: Any, caplog: pytest.LogCaptureFixture
) -> None:
    doubler.error = ValueError("/secret/path")
    with caplog.at_level(logging.ERROR):
        answer = client(doubler).post("/predict", json={"data": [[1, 2]]})
    assert answer.status_code == 500
    assert answer.get_json() == {"error": "the model failed on this input; the server's log says why"}
    assert "/secret/path" in caplog.text
    assert "Traceback" in caplog.text


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nowhere", 404), ("GET", "/predict", 405), ("POST", "/", 405)]
)
def test_what_is_not_there_is_refused_in_json(doubler: Model, method: str, path: str, status: int) -> None:
    answer = client(doubler).open(path, method=method)
    assert answer.status_code == status
    assert answer.get_json()["error"]
    assert ("Allow" in answer.headers) == (status == 405)


def test_every_answer_ends_with_a_newline(doubler: Model) -> None:
    for path in ("/", "/healthz", "/readyz", "/nowhere"):
        text = client(doubler).get(path).get_data(as_text=True)
        assert text.endswith("}\n")
        json.loads(text)
