"""The digits examples are what they say: the accuracy, the recorded answers, the lock."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from ml_containerize.smoke.cases import Case, load_cases
from ml_containerize.smoke.compare import compare
from serving.doors.rows import predict
from serving.errors import Refused
from serving.http import Request
from serving.runtimes import Model
from serving.served import Served

EXAMPLES = Path(__file__).parents[2] / "examples"
DIGITS = EXAMPLES / "digits"
FORMS = {"digits": DIGITS, "digits-savedmodel": EXAMPLES / "digits-savedmodel" / "saved_model"}
CASES = [
    pytest.param(form, case, id=f"{form} {case.name}")
    for form in FORMS
    for case in load_cases(sorted((EXAMPLES / form / "smoke").glob("*.json")))
]

pytestmark = pytest.mark.timeout(180)  # the first test imports TensorFlow


@pytest.fixture(scope="module")
def models(load_model: Callable[[Path], Model]) -> dict[str, Model]:
    return {form: load_model(path) for form, path in FORMS.items()}


@pytest.mark.parametrize("form", FORMS)
def test_the_committed_accuracy_holds_for_the_committed_model(
    form: str, models: dict[str, Model], training: ModuleType
) -> None:
    metrics = json.loads((EXAMPLES / form / "metrics.json").read_text())
    _, pixels, _, labels = training.digits()
    (probabilities,) = models[form].predict({"pixels": pixels}).values()
    accuracy = (probabilities.argmax(axis=1) == labels).mean()
    assert metrics["accuracy"] == round(float(accuracy), 4)
    assert metrics["test_rows"] == len(labels)
    assert metrics["accuracy"] > 0.97


@pytest.mark.parametrize(("form", "case"), CASES)
def test_a_recorded_case_is_answered_as_recorded(form: str, case: Case, models: dict[str, Model]) -> None:
    answer, status = answer_of(models[form], case)
    assert status == case.status
    assert compare(case.expect, answer, case.tolerance) == []


def answer_of(model: Model, case: Case) -> tuple[dict[str, Any], int]:
    request = Request("POST", "/predict", body=json.dumps(case.request).encode())
    try:
        task = predict(Served("digits", "1", model, max_rows=100), request)
        return json.loads(task.write(model.predict(task.batch, task.signature)).body), 200
    except Refused as refused:
        return dict(refused.as_json()), refused.status


def test_every_kind_of_case_is_recorded() -> None:
    cases = load_cases(sorted((DIGITS / "smoke").glob("*.json")))
    assert {case.status for case in cases} == {200, 400}
    assert {key for case in cases for key in case.request} == {"instances", "data"}
    assert max(len(rows) for case in cases for rows in case.request.values()) == 10


def test_both_forms_answer_alike(models: dict[str, Model], training: ModuleType) -> None:
    _, pixels, _, _ = training.digits()
    keras, saved = (next(iter(model.predict({"pixels": pixels}).values())) for model in models.values())
    np.testing.assert_allclose(keras, saved, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_an_example_is_small_enough_for_git(form: str) -> None:
    assert sum(path.stat().st_size for path in (EXAMPLES / form).rglob("*") if path.is_file()) < 2**20


def test_the_example_is_locked_to_the_server_s_own_packages() -> None:
    locked = (DIGITS / "requirements.lock").read_text()
    own = (EXAMPLES.parent / "serving" / "requirements" / "tensorflow.lock").read_text()
    assert locked == own


@pytest.mark.e2e
def test_training_again_gives_a_model_as_good(training: ModuleType, tmp_path: Path) -> None:
    training.main(tmp_path)
    committed, again = (json.loads((folder / "metrics.json").read_text()) for folder in (DIGITS, tmp_path))
    assert again.keys() == committed.keys()
    assert abs(again["accuracy"] - committed["accuracy"]) < 0.01
    assert (tmp_path / "model.keras").stat().st_size == pytest.approx(
        (DIGITS / "model.keras").stat().st_size, rel=0.01
    )
