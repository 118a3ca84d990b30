from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from serving.app import create_app
from serving.auth import KeyRing
from serving.batching import Batcher, BatchSettings
from serving.doors.table import routes
from serving.runtimes import Model
from serving.served import Served
from serving.state import Ready, State

Serve = Callable[..., FlaskClient]


@pytest.fixture
def client() -> Iterator[Serve]:
    """`client(model)` is a client of the application that serves it, `client(None)` of one still loading."""
    batchers: list[Batcher] = []

    def client(
        model: Model | None, *, about: dict[str, str] | None = None, max_rows: int = 4096, **settings: Any
    ) -> FlaskClient:
        state = State()
        if model is not None:
            batchers.append(Batcher(model, settings=BatchSettings(), observe=lambda *_: None))
            state.ready = Ready(Served("numbers", "1", model, max_rows, about or {}), batchers[-1])
        return create_app(state, routes("numbers", "1"), **settings).test_client()

    yield client
    for batcher in batchers:
        batcher.close()


def test_predictions_come_one_for_each_row(client: Serve, doubler: Model) -> None:
    answer = client(doubler).post("/predict", json={"instances": [[1, 2], [3, 4.5]]})
    assert answer.status_code == 200
    assert answer.get_json() == {"predictions": [[2.0, 4.0], [6.0, 9.0]]}
    assert answer.content_type == "application/json"


def test_the_classic_data_key_is_answered_alike(client: Serve, doubler: Model) -> None:
    assert client(doubler).post("/predict", json={"data": [[1, 2]]}).get_json() == {
        "predictions": [[2.0, 4.0]]
    }


def test_the_content_type_does_not_matter(client: Serve, doubler: Model) -> None:
    form = "application/x-www-form-urlencoded"  # what curl -d sends
    answer = client(doubler).post("/predict", data=b'{"data": [[1, 2]]}', content_type=form)
    assert answer.get_json() == {"predictions": [[2.0, 4.0]]}


def test_the_signature_is_described_with_what_is_known_of_the_image(client: Serve, doubler: Model) -> None:
    numbers = {
        "inputs": [{"name": "numbers", "dtype": "float32", "shape": [None, 2]}],
        "outputs": [{"name": "doubled", "dtype": "float32", "shape": [None, 2]}],
    }
    answer = client(doubler, about={"git_sha": "abc", "model_hash": "def"}).get("/")
    assert answer.get_json() == {
        "name": "numbers",
        "version": "1",
        "git_sha": "abc",
        "model_hash": "def",
        "device": "cpu",
        **numbers,
        "signatures": {"serving_default": numbers},
    }


def test_a_server_is_alive_before_it_is_ready(client: Serve) -> None:
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


def test_a_server_with_a_model_is_ready(client: Serve, doubler: Model) -> None:
    assert client(doubler).get("/readyz").get_json() == {"status": "ready", "ready": True}


def test_bad_input_is_refused_with_reason_and_field(client: Serve, doubler: Model) -> None:
    answer = client(doubler).post("/predict", json={"instances": [[1, 2], [3, "4"]]})
    assert answer.status_code == 400
    assert answer.get_json() == {"error": "is a string, expected a number", "field": "instances[1][1]"}


def test_no_body_is_refused(client: Serve, doubler: Model) -> None:
    answer = client(doubler).post("/predict")
    assert answer.status_code == 400
    assert answer.get_json() == {"error": "the body is empty"}


def test_a_body_over_the_limit_is_refused_unread(client: Serve, doubler: Model) -> None:
    answer = client(doubler, max_body=10).post("/predict", json={"data": [[1, 2]]})
    assert answer.status_code == 413
    assert answer.get_json() == {"error": "the body is larger than 10 bytes"}


def test_more_rows_than_allowed_are_refused(client: Serve, doubler: Model) -> None:
    answer = client(doubler, max_rows=1).post("/predict", json={"data": [[1, 2], [3, 4]]})
    assert answer.get_json() == {"error": "has 2 rows, at most 1 are answered at once", "field": "data"}


def test_an_answer_that_json_cannot_carry_is_no_server_error(client: Serve, doubler: Model) -> None:
    with np.errstate(over="ignore"):
        answer = client(doubler).post("/predict", json={"data": [[3e38, 1]]})
    assert answer.status_code == 422
    assert answer.get_json()["field"] == "predictions[0][0]"


def test_a_model_that_raises_keeps_its_trace_in_the_log(
    client: Serve, doubler: Any, caplog: pytest.LogCaptureFixture
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
def test_what_is_not_there_is_refused_in_json(
    client: Serve, doubler: Model, method: str, path: str, status: int
) -> None:
    answer = client(doubler).open(path, method=method)
    assert answer.status_code == status
    assert answer.get_json()["error"]
    assert ("Allow" in answer.headers) == (status == 405)


def test_every_answer_ends_with_a_newline(client: Serve, doubler: Model) -> None:
    for path in ("/", "/healthz", "/readyz", "/nowhere"):
        text = client(doubler).get(path).get_data(as_text=True)
        assert text.endswith("}\n")
        json.loads(text)


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/v1/models/letters", "unknown model 'letters', this server has 'numbers'"),
        ("/v1/models/numbers/versions/2", "unknown version '2', this server has '1'"),
        ("/v2/models/letters/ready", "unknown model 'letters', this server has 'numbers'"),
    ],
)
def test_an_unknown_model_or_version_is_named(client: Serve, doubler: Model, path: str, error: str) -> None:
    answer = client(doubler).get(path)
    assert (answer.status_code, answer.get_json()["error"]) == (404, error)


def test_people_get_a_page_and_programs_json(client: Serve, doubler: Model) -> None:
    people = client(doubler).get("/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert people.mimetype == "text/html"
    assert "script-src 'sha256-" in people.headers["Content-Security-Policy"]
    assert client(doubler).get("/", headers={"Accept": "*/*"}).mimetype == "application/json"


@pytest.fixture
def keys(tmp_path: Path) -> KeyRing:
    (tmp_path / "keys").write_text("sesame\n")
    return KeyRing.from_file(tmp_path / "keys")


@pytest.mark.parametrize("path", ["/", "/openapi.json", "/v1/models/numbers", "/nowhere"])
def test_with_keys_everything_asks_for_one(client: Serve, doubler: Model, keys: KeyRing, path: str) -> None:
    answer = client(doubler, keys=keys).get(path)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    assert answer.get_json() == {"error": "the request lacks a valid API key"}


@pytest.mark.parametrize("path", ["/healthz", "/startupz", "/readyz", "/v2/health/ready", "/ping"])
def test_probes_need_no_key(client: Serve, doubler: Model, keys: KeyRing, path: str) -> None:
    assert client(doubler, keys=keys).get(path).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{"Authorization": "Bearer sesame"}, {"X-API-Key": "sesame"}, {"Authorization": "Basic OnNlc2FtZQ=="}],
)
def test_a_key_opens(client: Serve, doubler: Model, keys: KeyRing, headers: dict[str, str]) -> None:
    answer = client(doubler, keys=keys).post("/predict", json={"data": [[1, 2]]}, headers=headers)
    assert answer.get_json() == {"predictions": [[2.0, 4.0]]}
