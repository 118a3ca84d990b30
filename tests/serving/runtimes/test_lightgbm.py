"""LightGBM's boosters answer as they do in Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest
from sklearn.datasets import load_wine

from serving.errors import ModelUnusable
from serving.runtimes import DEFAULT_SIGNATURE, Model, find, load
from serving.signature import TensorSpec
from tests.serving.runtimes.conftest import AnswersAlike

WINES, CULTIVARS = load_wine(return_X_y=True)
CLASSES = {"objective": "multiclass", "num_class": 3}


def trained(settings: dict[str, Any], target: Any = CULTIVARS) -> lightgbm.Booster:
    return lightgbm.train({**settings, "verbose": -1, "num_threads": 1}, lightgbm.Dataset(WINES, target), 3)


def served(folder: Path, booster: lightgbm.Booster) -> Model:
    booster.save_model(folder / "model.txt")
    return load(find(folder))


@pytest.mark.parametrize("objective", ["multiclass", "multiclassova"])
def test_a_classifier_of_several_classes_answers_probabilities(objective: str, tmp_path: Path) -> None:
    booster = trained({**CLASSES, "objective": objective})
    model = served(tmp_path, booster)
    signature = model.signatures[DEFAULT_SIGNATURE]
    assert signature.inputs == (TensorSpec("features", "float64", (None, 13)),)
    assert signature.outputs == (TensorSpec("probabilities", "float64", (None, 3)),)
    answer = model.predict({"features": WINES})["probabilities"]
    np.testing.assert_allclose(answer, booster.predict(WINES), rtol=1e-12)


@pytest.mark.parametrize(
    ("objective", "target"),
    [("binary", CULTIVARS > 0), ("regression", CULTIVARS)],
    ids=["binary", "regression"],
)
def test_all_others_answer_a_prediction(objective: str, target: Any, tmp_path: Path) -> None:
    booster = trained({"objective": objective}, target)
    model = served(tmp_path, booster)
    assert model.signatures[DEFAULT_SIGNATURE].outputs == (TensorSpec("prediction", "float64", (None,)),)
    answer = model.predict({"features": WINES})["prediction"]
    np.testing.assert_allclose(answer, booster.predict(WINES), rtol=1e-12)


def test_a_missing_value_goes_the_way_that_training_chose(tmp_path: Path) -> None:
    booster = trained(CLASSES)
    gaps = WINES.copy()
    gaps[::3, 12] = np.nan
    answer = served(tmp_path, booster).predict({"features": gaps})["probabilities"]
    np.testing.assert_allclose(answer, booster.predict(gaps), rtol=1e-12)


def test_trees_without_a_branch_answer_all_rows_alike(tmp_path: Path) -> None:
    one_kind = np.zeros(len(WINES))
    booster = trained({"objective": "regression"}, one_kind)
    answer = served(tmp_path, booster).predict({"features": WINES})["prediction"]
    np.testing.assert_array_equal(answer, one_kind)


@pytest.mark.parametrize("kept", [0.05, 0.2, 0.5, 0.8, 0.95])
def test_a_file_that_was_cut_off_is_refused(kept: float, tmp_path: Path) -> None:
    path = tmp_path / "model.txt"
    trained(CLASSES).save_model(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(ModelUnusable, match=r"model\.txt is no whole LightGBM model"):
        load(find(tmp_path))


def test_line_ends_that_git_changed_are_refused_rather_than_misread(tmp_path: Path) -> None:
    path = tmp_path / "model.txt"
    trained(CLASSES).save_model(path)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    with pytest.raises(ModelUnusable, match="damaged or cut off"):
        load(find(tmp_path))


def test_a_tree_of_another_size_than_the_header_says_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.txt"
    trained(CLASSES).save_model(path)
    path.write_bytes(path.read_bytes().replace(b"num_cat=0\n", b"num_cat=00\n", 1))
    with pytest.raises(ModelUnusable, match="damaged or cut off"):
        load(find(tmp_path))


def test_a_file_that_is_no_model_is_refused_in_one_line(no_model: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.txt").write_bytes(b"tree\n" + no_model)
    with pytest.raises(ModelUnusable, match=r"^[^\n]+$"):
        load(find(tmp_path))


def test_nothing_is_printed_where_the_answers_go(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = served(tmp_path, trained(CLASSES))
    with pytest.raises(lightgbm.basic.LightGBMError):
        model.predict({"features": WINES[:, :5]})
    assert capfd.readouterr().out == ""


def test_many_threads_get_the_same_answers(
    answers_alike_from_many_threads: AnswersAlike, tmp_path: Path
) -> None:
    answers_alike_from_many_threads(served(tmp_path, trained(CLASSES)), {"features": WINES[::20]})
