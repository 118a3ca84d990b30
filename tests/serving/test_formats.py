"""Real models of every format, loaded and asked as the server does it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.errors import ModelUnusable
from serving.runtimes import Model, default_signature, find, load
from serving.signature import TensorSpec
from serving.tensors import numpy_dtype
from serving.warmup import warm_up

Load = Callable[[Path], Model]

pytestmark = pytest.mark.timeout(180)  # the first test imports TensorFlow


@pytest.fixture(scope="module")
def keras(load_model: Load) -> Any:
    """Keras, imported once the environment is what the server makes it."""
    return pytest.importorskip("keras")


@pytest.fixture(scope="module")
def tf(load_model: Load) -> Any:
    return pytest.importorskip("tensorflow")


def ask(model: Model, **inputs: Any) -> dict[str, Any]:
    """Each output as lists, for each input as lists."""
    specs = {spec.name: spec for spec in default_signature(model).inputs}
    batch = {name: np.array(rows, numpy_dtype(specs[name].dtype)) for name, rows in inputs.items()}
    return {name: array.tolist() for name, array in model.predict(batch).items()}


@pytest.fixture(scope="module")
def small(keras: Any) -> Any:
    keras.utils.set_random_seed(1)
    return keras.Sequential([keras.Input((3,), name="x"), keras.layers.Dense(2, name="y")])


@pytest.mark.parametrize("name", ["model.keras", "model.h5", "model.hdf5"])
def test_a_keras_file_answers_as_the_model_did(
    name: str, small: Any, load_model: Load, tmp_path: Path
) -> None:
    small.save(tmp_path / name)
    model = load_model(tmp_path)
    assert default_signature(model).inputs == (TensorSpec("x", "float32", (None, 3)),)
    assert default_signature(model).outputs == (TensorSpec("y", "float32", (None, 2)),)
    assert warm_up(model, tmp_path, 2)
    rows = [[1, 2, 3], [0, 0, 1]]
    np.testing.assert_allclose(
        ask(model, x=rows)["y"], small.predict(np.array(rows, "float32"), verbose=0), 1e-6
    )


def test_a_saved_model_answers_as_the_model_did(small: Any, load_model: Load, tmp_path: Path) -> None:
    small.export(tmp_path / "model", verbose=False)
    model = load_model(tmp_path / "model")
    assert default_signature(model).inputs == (TensorSpec("x", "float32", (None, 3)),)
    assert warm_up(model, tmp_path, 2)
    (answer,) = ask(model, x=[[1, 2, 3]]).values()
    np.testing.assert_allclose(answer, small(np.array([[1.0, 2, 3]])), 1e-6)


def test_several_inputs_and_outputs_go_by_their_names(keras: Any, load_model: Load, tmp_path: Path) -> None:
    a, b = keras.Input((2,), name="a"), keras.Input((1,), name="b", dtype="int32")
    total = keras.layers.Add(name="total")([a, keras.ops.cast(b, "float32")])
    twice = keras.layers.Rescaling(2.0, name="twice")(a)
    keras.Model([a, b], [total, twice]).save(tmp_path / "model.keras")
    model = load_model(tmp_path)
    assert [(spec.name, spec.dtype) for spec in default_signature(model).inputs] == [
        ("a", "float32"),
        ("b", "int32"),
    ]
    assert ask(model, b=[[10]], a=[[1, 2]]) == {"total": [[11.0, 12.0]], "twice": [[2.0, 4.0]]}


def test_inputs_and_outputs_in_dictionaries_go_by_their_keys(
    keras: Any, load_model: Load, tmp_path: Path
) -> None:
    inputs = {"z": keras.Input((1,), name="first"), "a": keras.Input((1,), name="second")}
    minus = keras.layers.Subtract(name="layer")([inputs["z"], inputs["a"]])
    plus = keras.layers.Add(name="other")([inputs["z"], inputs["a"]])
    keras.Model(inputs, {"minus": minus, "again": plus}).save(tmp_path / "model.keras")
    model = load_model(tmp_path)
    assert ask(model, z=[[5]], a=[[2]]) == {"minus": [[3.0]], "again": [[7.0]]}


def test_text_and_whole_numbers_are_inputs_too(keras: Any, load_model: Load, tmp_path: Path) -> None:
    words = keras.Input((1,), name="words", dtype="string")
    lookup = keras.layers.StringLookup(vocabulary=["yes", "no"], name="string_lookup")
    keras.Model(words, lookup(words)).save(tmp_path / "model.keras")
    model = load_model(tmp_path)
    assert warm_up(model, tmp_path, 2)
    assert ask(model, words=[[b"no"], [b"perhaps"]]) == {"string_lookup": [[2], [0]]}


def test_half_precision_is_sent_and_answered_as_numbers(keras: Any, load_model: Load, tmp_path: Path) -> None:
    x = keras.Input((1,), dtype="bfloat16", name="x")
    keras.Model(x, keras.layers.Rescaling(2.0, dtype="bfloat16", name="rescaling")(x)).save(
        tmp_path / "model.keras"
    )
    assert ask(load_model(tmp_path), x=[[1.5]]) == {"rescaling": [[3.0]]}


def test_a_signature_of_one_s_own_is_served_with_its_names(tf: Any, load_model: Load, tmp_path: Path) -> None:
    class Module(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.factor = tf.Variable(3.0)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="value")])
        def scale(self, value: Any) -> dict[str, Any]:
            return {"scaled": value * self.factor, "text": tf.strings.as_string(value, precision=1)}

    module = Module()
    tf.saved_model.save(module, tmp_path, signatures={"scale": module.scale})
    model = load_model(tmp_path)
    assert ask(model, value=[2, 4]) == {"scaled": [6.0, 12.0], "text": [b"2.0", b"4.0"]}


def save_two_signatures(tf: Any, folder: Path) -> None:
    module = tf.Module()
    vector = [tf.TensorSpec([None], tf.float32, name="x")]
    module.one = tf.function(lambda x: {"same": x}, input_signature=vector)
    module.two = tf.function(lambda x: {"double": 2 * x}, input_signature=vector)
    tf.saved_model.save(module, folder, signatures={"b": module.two, "a": module.one})


def test_of_several_signatures_each_is_served_and_the_first_by_name_is_the_default(
    tf: Any, load_model: Load, tmp_path: Path
) -> None:
    save_two_signatures(tf, tmp_path)
    model = load_model(tmp_path)
    assert list(model.signatures) == ["a", "b"]
    batch = {"x": np.array([1.5], np.float32)}
    assert model.predict(batch) == model.predict(batch, "a") == {"same": [1.5]}
    assert model.predict(batch, "b") == {"double": [3.0]}


def test_the_default_among_several_signatures_can_be_named(tf: Any, tmp_path: Path) -> None:
    save_two_signatures(tf, tmp_path)
    assert list(load(find(tmp_path), "b").signatures) == ["b", "a"]
    with pytest.raises(ModelUnusable, match="no signature 'c' in the SavedModel, there are: a, b"):
        load(find(tmp_path), "c")


def test_a_single_value_without_rows_is_refused(tf: Any, load_model: Load, tmp_path: Path) -> None:
    module = tf.Module()
    module.one = tf.function(lambda x: x, input_signature=[tf.TensorSpec([], tf.float32, name="x")])
    tf.saved_model.save(module, tmp_path, signatures=module.one)
    with pytest.raises(ModelUnusable, match="'x' is a single value"):
        load_model(tmp_path)


def test_free_dimensions_are_served(keras: Any, load_model: Load, tmp_path: Path) -> None:
    x = keras.Input((None, None, 1), name="image")
    keras.Model(x, keras.layers.GlobalAveragePooling2D()(x)).save(tmp_path / "model.keras")
    model = load_model(tmp_path)
    (pooled,) = ask(model, image=[[[[1], [2], [6]]]]).values()
    assert pooled == [[3.0]]
    (pooled,) = ask(model, image=[[[[1], [5]], [[5], [1]]]]).values()
    assert pooled == [[3.0]]


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_code_inside_a_model_file_is_not_run(name: str, keras: Any, load_model: Load, tmp_path: Path) -> None:
    x = keras.Input((1,))
    keras.Model(x, keras.layers.Lambda(lambda value: value * 2)(x)).save(tmp_path / name)
    with pytest.raises(ModelUnusable, match="cannot be loaded as"):
        load_model(tmp_path)


def test_a_model_without_fixed_inputs_is_refused(keras: Any, load_model: Load, tmp_path: Path) -> None:
    keras.Sequential([keras.layers.Flatten()]).save(tmp_path / "model.keras")
    with pytest.raises(ModelUnusable, match=r"no fixed inputs; export it as a SavedModel"):
        load_model(tmp_path)


@pytest.mark.parametrize("name", ["model.keras", "model.h5", "saved_model.pb"])
def test_a_damaged_model_is_refused_in_one_line(name: str, load_model: Load, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(ModelUnusable, match="cannot be loaded as") as caught:
        load_model(tmp_path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700
