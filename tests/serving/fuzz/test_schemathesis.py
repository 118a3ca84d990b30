"""Requests made from the server's own OpenAPI document, right and wrong ones, are answered as it promises.

Schemathesis (https://schemathesis.readthedocs.io) makes the cases: valid ones must be answered, invalid ones
refused, and every answer must have a status, content type and body that the document names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import hypothesis
import numpy as np
import pytest
import schemathesis
from hypothesis import strategies
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from serving.app import create_app
from serving.batching import Batcher, BatchSettings
from serving.doors.media import BYTES, CSV
from serving.doors.table import routes
from serving.runtimes import Model
from serving.served import Served
from serving.signature import Signature, TensorSpec
from serving.state import Ready, State
from serving.tensors import Tensor
from tests.serving.conftest import Doubler

pytestmark = [pytest.mark.filterwarnings("ignore:overflow encountered"), pytest.mark.timeout(300)]

TABLE = routes("pairs", "1", predict_route="/vertex")
PREDICTIONS = [route.path for route in TABLE if route.predict and "versions" not in route.path]
VALID, INVALID = 1300, 700  # cases for each of the five paths, 10,000 in all
AT_ONCE = 4  # cases in one of Hypothesis' examples, whose own work is as much as two cases'


FINE = ["2xx", "422"]  # 422: twice the largest number is an infinity


@dataclass(slots=True)
class Register:
    """A model of two signatures that answers with what it was told."""

    signatures: Mapping[str, Signature]
    device: str = "cpu"

    def predict(self, batch: Mapping[str, Tensor], signature: str = "") -> dict[str, Tensor]:
        if signature == "shout":
            return {"loud": np.array([text.upper() for text in batch["text"]], object)}
        return {"age": batch["age"], "name": batch["names"][:, 0]}


PEOPLE = Register(
    {
        "serving_default": Signature(
            (TensorSpec("age", "int64", (None,)), TensorSpec("names", "string", (None, 2))),
            (TensorSpec("age", "int64", (None,)), TensorSpec("name", "string", (None,))),
        ),
        "shout": Signature(
            (TensorSpec("text", "string", (None,)),), (TensorSpec("loud", "string", (None,)),)
        ),
    }
)


@contextmanager
def api(model: Model) -> Iterator[Any]:
    """What Schemathesis makes of the document of a server with this model."""
    batcher = Batcher(model, settings=BatchSettings(enabled=False), observe=lambda *_: None)
    ready = Ready(Served("pairs", "1", model, max_rows=2), batcher)
    schema = schemathesis.openapi.from_wsgi("/openapi.json", create_app(State(ready), TABLE))
    schema.config.checks.positive_data_acceptance.expected_statuses = FINE
    yield schema
    batcher.close()


@pytest.fixture(scope="module")
def pairs() -> Iterator[Any]:
    with api(Doubler()) as schema:
        yield schema


@pytest.fixture(scope="module")
def people() -> Iterator[Any]:
    with api(PEOPLE) as schema:
        yield schema


def fuzz(cases: Any, number: int, at_once: int = AT_ONCE) -> set[int]:
    """Send as many cases, check each answer against the document, and tell which statuses came."""
    statuses: set[int] = set()

    @hypothesis.given(strategies.data())
    @hypothesis.settings(
        max_examples=number // at_once,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate],
    )
    def check(data: Any) -> None:
        for _ in range(at_once):
            case = data.draw(cases)
            response = case.call()
            case.validate_response(response, excluded_checks=untrue(case))
            statuses.add(response.status_code)
            if 400 <= response.status_code < 500:
                check_refusal(response.json())

    check()
    return statuses


def check_refusal(refusal: Any) -> None:
    """A reason, and the field where it is not the body as a whole, or a key that is an empty string."""
    assert set(refusal) <= {"error", "field"}
    assert refusal.get("field") or refusal["error"].startswith(("the body is ", "unknown key ''")), refusal


def untrue(case: Any) -> list[Any]:
    """Where a body may fit its schema and be wrong: inputs that do not agree in size, CSV, and bytes."""
    by_column = isinstance(case.body, dict) and "inputs" in case.body
    return [positive_data_acceptance] if by_column or case.media_type in (CSV, BYTES) else []


def test_all_predictions_are_tried_ten_thousand_times() -> None:
    assert len(PREDICTIONS) * (VALID + INVALID) == 10_000


@pytest.mark.parametrize("path", PREDICTIONS)
def test_valid_requests_are_answered_as_documented(pairs: Any, path: str) -> None:
    cases = pairs[path]["POST"].as_strategy(GenerationMode.POSITIVE, headers={})
    assert 200 in fuzz(cases, VALID)


@pytest.mark.parametrize("path", PREDICTIONS)
def test_invalid_requests_are_refused_as_documented(pairs: Any, path: str) -> None:
    cases = pairs[path]["POST"].as_strategy(GenerationMode.NEGATIVE)
    large = path.startswith("/v2/")  # several cases would be more than one example may hold
    assert 400 in fuzz(cases, INVALID, 1 if large else AT_ONCE)


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize("path", PREDICTIONS)
def test_a_model_of_strings_and_integers_is_described_as_exactly(
    people: Any, path: str, mode: GenerationMode
) -> None:
    cases = people[path]["POST"].as_strategy(mode, headers={})
    statuses = fuzz(cases, 40, 1)
    assert (200 if mode is GenerationMode.POSITIVE else 400) in statuses


@pytest.mark.parametrize("path", [route.path for route in TABLE if route.inform])
def test_what_is_told_without_a_prediction_is_as_documented(pairs: Any, path: str) -> None:
    assert fuzz(pairs[path]["GET"].as_strategy(), 2, 1) == {200}


@pytest.mark.parametrize("path", ["/", "/openapi.json", "/healthz", "/readyz", "/startupz", "/ping"])
def test_what_the_server_tells_of_itself_is_as_documented(pairs: Any, path: str) -> None:
    assert fuzz(pairs[path]["GET"].as_strategy(), 2, 1) == {200}
