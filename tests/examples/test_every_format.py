"""The examples of every other format answer as recorded, and are as good as their metrics say."""

from __future__ import annotations

import importlib.util
import json
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
from serving.runtimes import find, load
from serving.served import Served

EXAMPLES = Path(__file__).parents[2] / "examples"
FORMS = {
    "digits-onnx": ".",
    "wine-sklearn": ".",
    "wine-xgboost": ".",
    "wine-lightgbm": ".",
    "iris-predictor": "model",
    "digits-torchscript": ".",
    "digits-torch-export": ".",
}
CASES = [
    pytest.param(form, case, id=f"{form} {case.name}")
    for form in FORMS
    for case in load_cases(sorted((EXAMPLES / form / "smoke").glob("*.json")))
]
TRAINED = {
    "wine-sklearn": "wines",
    "wine-xgboost": "wines",
    "wine-lightgbm": "wines",
    "iris-predictor": "irises",
    "digits-torchscript": "digits",
}

pytestmark = pytest.mark.timeout(240)  # PyTorch's first import can take its time

_served: dict[str, Served] = {}


def served(form: str) -> Served:
    """The example as the server loads it, once."""
    if "torch" in form:
        pytest.importorskip("torch")
    if form not in _served:
        _served[form] = Served(form, "1", load(find(EXAMPLES / form / FORMS[form])), max_rows=100)
    return _served[form]


def answer_of(model: Served, request: dict[str, Any]) -> tuple[dict[str, Any], int]:
    try:
        task = predict(model, Request("POST", "/predict", body=json.dumps(request).encode()))
    except Refused as refused:
        return dict(refused.as_json()), refused.status
    answer = task.write(model.model.predict(task.batch, task.signature))
    return json.loads(answer.body), answer.status


@pytest.mark.parametrize(("form", "case"), CASES)
def test_a_recorded_case_is_answered_as_recorded(form: str, case: Case) -> None:
    answer, status = answer_of(served(form), dict(case.request))
    assert status == case.status
    assert compare(case.expect, answer, case.tolerance) == []


def training(form: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{form}_train", EXAMPLES / form / "train.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def guess(prediction: Any) -> Any:
    """The class that a row's prediction says."""
    if isinstance(prediction, dict):
        return prediction.get("label") or prediction["species"]
    return int(np.argmax(prediction))


@pytest.mark.parametrize(("form", "data"), TRAINED.items())
def test_the_committed_accuracy_holds_for_the_committed_model(form: str, data: str) -> None:
    model = served(form)
    _, rows, _, labels = getattr(training(form), data)()
    instances = rows.tolist()
    if form == "iris-predictor":
        measures = ("sepal_length", "sepal_width", "petal_length", "petal_width")
        instances = [dict(zip(measures, row, strict=True)) for row in instances]
    guesses = [
        guess(answer_of(model, {"instances": [instance]})[0]["predictions"][0]) for instance in instances
    ]
    metrics = json.loads((EXAMPLES / form / "metrics.json").read_text())
    assert metrics["accuracy"] == round(float(np.mean(np.array(guesses) == labels)), 4)
    assert metrics["test_rows"] == len(labels)
    assert metrics["accuracy"] > 0.95


@pytest.mark.parametrize("form", FORMS)
def test_an_example_has_a_refusal_and_stays_small(form: str) -> None:
    cases = load_cases(sorted((EXAMPLES / form / "smoke").glob("*.json")))
    assert {case.status for case in cases} == {200, 400}
    assert len(cases) >= 3
    files = (path for path in (EXAMPLES / form).rglob("*") if path.is_file() and path.suffix != ".pyc")
    assert sum(path.stat().st_size for path in files) < 300_000


@pytest.mark.parametrize("form", ["digits-torchscript", "digits-torch-export"])
def test_a_torch_model_names_no_folder_of_the_machine_that_trained_it(form: str) -> None:
    (path,) = (EXAMPLES / form).glob("model.pt*")
    assert b"site-packages" not in path.read_bytes()  # its archive is not compressed


def test_both_torch_forms_answer_alike() -> None:
    request = {"instances": np.random.default_rng(7).integers(0, 17, (20, 64)).tolist()}
    script, export = (
        answer_of(served(form), request)[0]["predictions"]
        for form in ("digits-torchscript", "digits-torch-export")
    )
    np.testing.assert_allclose(script, export, rtol=1e-4, atol=1e-6)
