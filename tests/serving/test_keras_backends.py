"""The same files on every backend of Keras, in a process of its own: Keras has one for its lifetime."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.runtimes import Model, default_signature

Load = Callable[[Path], Model]

ROOT = Path(__file__).parents[2]
BACKENDS = [
    pytest.param(name, marks=pytest.mark.skipif(find_spec(name) is None, reason=f"{name} is not installed"))
    for name in ("jax", "torch")
]
SERVED_ELSEWHERE = """
import json, sys
from importlib.machinery import PathFinder
from pathlib import Path
import numpy as np

class WithoutTensorFlow(PathFinder):
    @classmethod
    def find_spec(cls, name, *where):
        return None if name == "tensorflow" else super().find_spec(name, *where)

sys.meta_path[sys.meta_path.index(PathFinder)] = WithoutTensorFlow
from serving.errors import ModelUnusable
from serving.runtimes import default_signature, find, load

for folder in map(Path, sys.argv[1:]):
    try:
        model = load(find(folder))
    except ModelUnusable as error:
        print(json.dumps({"refused": str(error)}))
        continue
    with np.load(folder / "batch.npz") as batch:
        answers = {name: array.astype("f8").tolist() for name, array in model.predict(batch).items()}
    print(json.dumps({"signature": default_signature(model).as_json(), "answers": answers}))
"""

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def keras(load_model: Load) -> Any:
    return pytest.importorskip("keras")


def digits(keras: Any, folder: Path) -> dict[str, Any]:
    shutil.copy(ROOT / "examples" / "digits" / "model.keras", folder)
    return {"pixels": np.random.default_rng(1).integers(0, 17, (5, 64)).astype("float32")}


def save_image_model(keras: Any, file: Path) -> dict[str, Any]:
    layers = [
        keras.Input((8, 8, 1), name="image"),
        keras.layers.Conv2D(4, 3),
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.5),
        keras.layers.GlobalAveragePooling2D(name="pooled"),
    ]
    model = keras.Sequential(layers)
    model.layers[1].moving_mean.assign([0.1, 0.2, 0.3, 0.4])
    model.save(file)
    return {"image": np.random.default_rng(1).random((3, 8, 8, 1), "float32")}


def layers_with_state(keras: Any, folder: Path) -> dict[str, Any]:
    return save_image_model(keras, folder / "model.keras")


def the_older_file(keras: Any, folder: Path) -> dict[str, Any]:
    return save_image_model(keras, folder / "model.h5")


def names_and_types(keras: Any, folder: Path) -> dict[str, Any]:
    inputs = {"a": keras.Input((2,), name="a"), "count": keras.Input((1,), name="count", dtype="int64")}
    small = keras.layers.Rescaling(0.5, dtype="bfloat16", name="small")(inputs["a"])
    keras.Model(inputs, {"small": small, "same": inputs["count"]}).save(folder / "model.keras")
    return {
        "a": np.array([[1.5, 2], [3, 4], [5, 6]], "float32"),
        "count": np.array([[2**40 + 1], [-5], [0]], "int64"),
    }


def a_fixed_number_of_rows(keras: Any, folder: Path) -> dict[str, Any]:
    x = keras.Input(batch_shape=(3, 2), name="x")
    keras.Model(x, keras.layers.Rescaling(2.0, name="twice")(x)).save(folder / "model.keras")
    return {"x": np.ones((3, 2), "float32")}


def text(keras: Any, folder: Path) -> dict[str, Any]:
    x = keras.Input((1,), name="words", dtype="string")
    keras.Model(x, keras.layers.Identity(name="same")(x)).save(folder / "model.keras")
    return {"words": np.array([[b"a"]])}


ALIKE = (digits, layers_with_state, the_older_file, names_and_types, a_fixed_number_of_rows)


@pytest.fixture(scope="module")
def saved(keras: Any, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """A folder with model and batch for each case."""
    folders = {make.__name__: tmp_path_factory.mktemp(make.__name__) for make in (*ALIKE, text)}
    for make in (*ALIKE, text):
        np.savez(folders[make.__name__] / "batch.npz", **make(keras, folders[make.__name__]))
    return folders


@pytest.fixture(scope="module", params=BACKENDS)
def elsewhere(request: pytest.FixtureRequest, saved: Mapping[str, Path]) -> Mapping[str, Any]:
    """What a process with another backend, and without TensorFlow, says to each case."""
    search = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, "-c", SERVED_ELSEWHERE, *saved.values()],
        env={**os.environ, "KERAS_BACKEND": request.param, "PYTHONPATH": search},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(saved, map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("case", [make.__name__ for make in ALIKE])
def test_a_file_has_the_signature_and_answers_that_it_has_on_tensorflow(
    case: str, elsewhere: Mapping[str, Any], saved: Mapping[str, Path], load_model: Load
) -> None:
    model = load_model(saved[case])
    assert elsewhere[case]["signature"] == default_signature(model).as_json()
    with np.load(saved[case] / "batch.npz") as batch:
        expected = model.predict(batch)
    for name, array in expected.items():
        answer = elsewhere[case]["answers"][name]
        np.testing.assert_allclose(answer, array.astype("f8"), rtol=1e-5, atol=1e-6)


def test_text_is_refused_by_name(elsewhere: Mapping[str, Any]) -> None:
    assert elsewhere["text"]["refused"].startswith("the tensor 'words' is text")
