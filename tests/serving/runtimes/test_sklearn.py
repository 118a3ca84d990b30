"""scikit-learn's estimators answer as they do in Python."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import skops.io
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_wine
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from serving.errors import ModelUnusable
from serving.runtimes import DEFAULT_SIGNATURE, Model, find, load
from serving.signature import TensorSpec
from serving.tensors import Tensor
from tests.serving.runtimes.conftest import AnswersAlike

WINE = load_wine()
SCALED = (WINE.data - WINE.data.mean(axis=0)) / WINE.data.std(axis=0)
NAMES = WINE.target_names[WINE.target]


def served(folder: Path, estimator: Any) -> Model:
    skops.io.dump(estimator, folder / "model.skops")
    return load(find(folder))


def outputs(model: Model) -> tuple[TensorSpec, ...]:
    return model.signatures[DEFAULT_SIGNATURE].outputs


def ask(model: Model, rows: Tensor) -> dict[str, Tensor]:
    return model.predict({"features": rows})


def test_the_input_is_one_matrix_of_the_features(tmp_path: Path) -> None:
    model = served(tmp_path, LinearRegression().fit(SCALED, WINE.target))
    assert model.signatures[DEFAULT_SIGNATURE].inputs == (TensorSpec("features", "float64", (None, 13)),)


def test_a_classifier_answers_labels_and_probabilities(tmp_path: Path) -> None:
    estimator = make_pipeline(StandardScaler(), LogisticRegression()).fit(WINE.data, WINE.target)
    model = served(tmp_path, estimator)
    assert outputs(model) == (
        TensorSpec("label", "int64", (None,)),
        TensorSpec("probabilities", "float64", (None, 3)),
    )
    answer = ask(model, WINE.data)
    np.testing.assert_array_equal(answer["label"], estimator.predict(WINE.data))
    np.testing.assert_array_equal(answer["probabilities"], estimator.predict_proba(WINE.data))


def test_a_classifier_without_probabilities_answers_labels(tmp_path: Path) -> None:
    model = served(tmp_path, RidgeClassifier().fit(SCALED, WINE.target))
    assert outputs(model) == (TensorSpec("label", "int64", (None,)),)


def test_text_labels_are_strings(tmp_path: Path) -> None:
    model = served(tmp_path, RidgeClassifier().fit(SCALED, NAMES))
    assert outputs(model) == (TensorSpec("label", "string", (None,)),)
    assert set(ask(model, SCALED)["label"]) == {b"class_0", b"class_1", b"class_2"}


def test_a_regressor_answers_its_prediction(tmp_path: Path) -> None:
    estimator = LinearRegression().fit(SCALED[:, 1:], SCALED[:, 0])
    model = served(tmp_path, estimator)
    assert outputs(model) == (TensorSpec("prediction", "float64", (None,)),)
    np.testing.assert_array_equal(ask(model, SCALED[:, 1:])["prediction"], estimator.predict(SCALED[:, 1:]))


def test_a_regressor_of_several_targets_answers_them_in_columns(tmp_path: Path) -> None:
    model = served(tmp_path, LinearRegression().fit(SCALED[:, 2:], SCALED[:, :2]))
    assert outputs(model) == (TensorSpec("prediction", "float64", (None, 2)),)


def test_a_clusterer_answers_the_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as the server does; else joblib asks lscpu for the cores
    model = served(tmp_path, KMeans(3, random_state=1).fit(SCALED))
    assert outputs(model) == (TensorSpec("label", "int32", (None,)),)


def test_a_transformer_answers_its_features_and_a_sparse_answer_is_filled(tmp_path: Path) -> None:
    colours = np.array([[0], [1], [2]])
    model = served(tmp_path, OneHotEncoder(handle_unknown="ignore").fit(colours))
    assert outputs(model) == (TensorSpec("features_out", "float64", (None, 3)),)
    np.testing.assert_array_equal(ask(model, colours.astype(float))["features_out"], np.eye(3))


@pytest.mark.parametrize(
    "estimator",
    [
        RandomForestClassifier(3, random_state=1),
        HistGradientBoostingClassifier(max_iter=3, random_state=1),
        KNeighborsClassifier(),
        MLPClassifier((4,), max_iter=2000, random_state=1),
        CalibratedClassifierCV(RidgeClassifier()),
        make_pipeline(SelectKBest(k=5), LogisticRegression()),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_the_usual_estimators_are_served_without_further_trust(
    estimator: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    model = served(tmp_path, estimator.fit(SCALED, WINE.target))
    answer = ask(model, SCALED)["probabilities"]
    np.testing.assert_array_equal(answer, estimator.predict_proba(SCALED))


class Doubled(TransformerMixin, BaseEstimator):
    """A user's own class, which skops does not know."""

    def fit(self, features: Tensor, _target: Tensor | None = None) -> Doubled:
        self.n_features_in_ = features.shape[1]
        return self

    def transform(self, features: Tensor) -> Tensor:
        return features * 2


def test_types_that_skops_does_not_trust_are_listed_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match=r"does not trust: .*Doubled; .*predictor\.py"):
        served(tmp_path, Doubled().fit(SCALED))


def write_pickle(path: Path) -> Path:
    estimator = LinearRegression().fit(SCALED, WINE.target)
    joblib.dump(estimator, path) if path.suffix == ".joblib" else path.write_bytes(pickle.dumps(estimator))
    return path


@pytest.mark.parametrize("name", ["model.pkl", "model.pickle", "model.joblib"])
@pytest.mark.parametrize("allowed", [None, "", "false", "1", "yes"])
def test_a_pickle_is_not_opened_unless_it_is_allowed_in_so_many_words(
    name: str, allowed: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ALLOW_PICKLE", raising=False)
    if allowed is not None:
        monkeypatch.setenv("ALLOW_PICKLE", allowed)
    with pytest.raises(ModelUnusable, match=r"can run any code .* set ALLOW_PICKLE=true"):
        load(find(write_pickle(tmp_path / name)))


@pytest.mark.parametrize("name", ["model.pkl", "model.pickle", "model.joblib"])
def test_an_allowed_pickle_is_served(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOW_PICKLE", "true")
    assert outputs(load(find(write_pickle(tmp_path / name)))) == (
        TensorSpec("prediction", "float64", (None,)),
    )


def test_a_pickle_under_the_name_of_a_skops_file_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLOW_PICKLE", "true")
    write_pickle(tmp_path / "model.pkl").rename(tmp_path / "model.skops")
    with pytest.raises(ModelUnusable, match="not a zip file"):
        load(find(tmp_path))


@pytest.mark.parametrize("content", [{"a": 1}, [1, 2], StandardScaler()], ids=["dict", "list", "not fitted"])
def test_what_is_no_fitted_estimator_is_said_so(content: object, tmp_path: Path) -> None:
    with pytest.raises(
        ModelUnusable, match=rf"a {type(content).__name__} is no fitted estimator.*predictor\.py"
    ):
        served(tmp_path, content)


def test_an_estimator_over_text_needs_a_predictor(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match=r"predictor\.py"):
        served(
            tmp_path,
            make_pipeline(TfidfVectorizer(), RidgeClassifier()).fit(["red wine", "white wine"], [0, 1]),
        )


def test_an_estimator_over_named_columns_needs_a_predictor(tmp_path: Path) -> None:
    columns = ColumnTransformer([("scaled", StandardScaler(), [0, 1]), ("words", OneHotEncoder(), [2])])
    mixed = np.array([[1.0, 2.0, "red"], [2.0, 3.0, "blue"]], object)
    with pytest.raises(ModelUnusable, match=r"does not answer a matrix of numbers \(.+\); a predictor\.py"):
        served(tmp_path, columns.fit(mixed))


def test_a_file_that_is_no_model_is_refused_in_one_line(no_model: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.skops").write_bytes(no_model)
    with pytest.raises(ModelUnusable, match=r"^model\.skops cannot be loaded as skops: [^\n]+$"):
        load(find(tmp_path))


def test_many_threads_get_the_same_answers(
    answers_alike_from_many_threads: AnswersAlike, tmp_path: Path
) -> None:
    model = served(tmp_path, make_pipeline(StandardScaler(), LogisticRegression()).fit(WINE.data, NAMES))
    answers_alike_from_many_threads(model, {"features": WINE.data[::20]})
