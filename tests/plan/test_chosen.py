from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from doubles.models import PICKLE, keras_bytes, onnx_bytes

from ml_containerize.plan.chosen import Chosen, PickleNotAllowed, choose_model
from ml_containerize.plan.model.runtimes import BackendNotKeras
from ml_containerize.plan.settings.problems import WrongSettings
from ml_containerize.plan.settings.settings import load_settings


def choose(project: Path, **flags: Any) -> Chosen:
    return choose_model(load_settings(project, {k.replace("_", "-"): v for k, v in flags.items()}, {}))


def test_the_only_model_is_chosen_with_its_format_and_runtime(project: Path) -> None:
    assert choose(project) == Chosen(project / "model.keras", "keras", "tensorflow")


def test_a_pickle_is_refused_in_so_many_words(empty: Path) -> None:
    (empty / "model.pkl").write_bytes(PICKLE)
    with pytest.raises(PickleNotAllowed, match="loading a pickle runs whatever code it holds") as caught:
        choose(empty)
    assert "`allow-pickle: true`" in caught.value.fix
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("name", ["model.pkl", "model.pickle", "model.joblib"])
def test_a_pickle_is_served_where_the_user_trusts_it(empty: Path, name: str) -> None:
    (empty / name).write_bytes(PICKLE)
    assert choose(empty, allow_pickle=True) == Chosen(empty / name, "pickle", "sklearn")


@pytest.mark.parametrize(
    ("backend", "runtime"),
    [("tensorflow", "tensorflow"), ("jax", "keras-jax"), ("torch", "keras-torch")],
)
def test_a_keras_model_is_computed_by_the_backend_that_is_named(
    empty: Path, backend: str, runtime: str
) -> None:
    (empty / "model.keras").write_bytes(keras_bytes())
    assert choose(empty, backend=backend).runtime == runtime


def test_a_backend_is_refused_for_what_is_not_keras(empty: Path) -> None:
    (empty / "model.onnx").write_bytes(onnx_bytes())
    with pytest.raises(BackendNotKeras, match="this model is onnx") as caught:
        choose(empty, backend="tensorflow")
    assert caught.value.exit_code == 3


def test_an_unknown_backend_is_answered_with_the_known_ones(project: Path) -> None:
    with pytest.raises(WrongSettings, match="one of tensorflow, jax, torch"):
        choose(project, backend="theano")
