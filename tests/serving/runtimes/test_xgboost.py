"""XGBoost's boosters answer as they do in Python."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost
from sklearn.datasets import load_wine

from serving.errors import ModelUnusable
from serving.runtimes import DEFAULT_SIGNATURE, Model, find, load
from serving.signature import TensorSpec
from tests.serving.runtimes.conftest import AnswersAlike

WINES, CULTIVARS = load_wine(return_X_y=True)
WINES = WINES.astype(np.float32)
CLASSES = {"objective": "multi:softprob", "num_class": 3}


def trained(settings: dict[str, Any], target: Any = CULTIVARS, rounds: int = 3) -> xgboost.Booster:
    return xgboost.train({**settings, "nthread": 1}, xgboost.DMatrix(WINES, target), rounds)


def served(folder: Path, booster: xgboost.Booster, name: str = "model.ubj") -> Model:
    booster.save_model(folder / name)
    return load(find(folder))


@pytest.mark.parametrize("name", ["model.ubj", "model.json"])
def test_a_classifier_of_several_classes_answers_probabilities(name: str, tmp_path: Path) -> None:
    booster = trained(CLASSES)
    model = served(tmp_path, booster, name)
    signature = model.signatures[DEFAULT_SIGNATURE]
    assert signature.inputs == (TensorSpec("features", "float32", (None, 13)),)
    assert signature.outputs == (TensorSpec("probabilities", "float32", (None, 3)),)
    answer = model.predict({"features": WINES})["probabilities"]
    np.testing.assert_array_equal(answer, booster.inplace_predict(WINES))


@pytest.mark.parametrize(
    ("settings", "target", "shape"),
    [
        ({"objective": "binary:logistic"}, CULTIVARS > 0, (None,)),
        ({"objective": "reg:squarederror"}, CULTIVARS, (None,)),
        ({"objective": "multi:softmax", "num_class": 3}, CULTIVARS, (None,)),
        ({"objective": "reg:squarederror"}, np.stack([CULTIVARS, -CULTIVARS], axis=1), (None, 2)),
        ({"objective": "binary:logistic", "booster": "dart"}, CULTIVARS > 0, (None,)),
    ],
    ids=["binary", "regression", "softmax", "two targets", "dart"],
)
def test_all_others_answer_a_prediction(
    settings: dict[str, Any], target: Any, shape: tuple[int | None, ...], tmp_path: Path
) -> None:
    booster = trained(settings, target)
    model = served(tmp_path, booster)
    assert model.signatures[DEFAULT_SIGNATURE].outputs == (TensorSpec("prediction", "float32", shape),)
    answer = model.predict({"features": WINES})["prediction"]
    np.testing.assert_array_equal(answer, booster.inplace_predict(WINES))


def test_a_missing_value_goes_the_way_that_training_chose(tmp_path: Path) -> None:
    booster = trained(CLASSES)
    gaps = WINES.copy()
    gaps[::3, 12] = np.nan
    answer = served(tmp_path, booster).predict({"features": gaps})["probabilities"]
    np.testing.assert_array_equal(answer, booster.inplace_predict(gaps))
    assert np.isfinite(answer).all()


def test_training_that_stopped_early_is_served_up_to_its_best_round(tmp_path: Path) -> None:
    booster = trained(CLASSES, rounds=5)
    booster.set_attr(best_iteration="1")
    answer = served(tmp_path, booster).predict({"features": WINES})["probabilities"]
    np.testing.assert_array_equal(answer, booster.inplace_predict(WINES, iteration_range=(0, 2)))
    assert not np.array_equal(answer, booster.inplace_predict(WINES))


def test_a_linear_booster_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match="is a gblinear booster; only those of trees"):
        served(tmp_path, trained({"booster": "gblinear"}))


@pytest.mark.parametrize("kept", [0.01, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("name", ["model.ubj", "model.json"])
def test_a_file_that_was_cut_off_is_refused(name: str, kept: float, tmp_path: Path) -> None:
    path = tmp_path / name
    trained(CLASSES).save_model(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(ModelUnusable, match=r"^[^\n]+$"):
        load(find(tmp_path, "xgboost"))


@pytest.mark.parametrize("name", ["model.ubj", "model.json"])
def test_a_file_that_is_no_model_is_refused_in_one_line(name: str, no_model: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(no_model)
    with pytest.raises(ModelUnusable, match=r"^[^\n]+$"):
        load(find(tmp_path, "xgboost"))


def test_json_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text(json.dumps({"learner": {"name": "someone else's"}}))
    with pytest.raises(ModelUnusable, match="cannot be loaded as xgboost"):
        load(find(tmp_path))


def test_many_threads_get_the_same_answers(
    answers_alike_from_many_threads: AnswersAlike, tmp_path: Path
) -> None:
    answers_alike_from_many_threads(served(tmp_path, trained(CLASSES)), {"features": WINES[::20]})
