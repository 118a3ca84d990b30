"""ONNX models are served as their files describe them; small graphs are made on the spot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from serving.errors import BadRequest, ModelUnusable
from serving.runtimes import DEFAULT_SIGNATURE, Model, find, load
from serving.signature import Signature, TensorSpec
from tests.serving.runtimes.conftest import AnswersAlike

EXAMPLES = Path(__file__).parents[3] / "examples"
FLOAT = TensorProto.FLOAT
tensor = helper.make_tensor_value_info


def write(
    folder: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    weights: Sequence[onnx.TensorProto] = (),
    **how: Any,
) -> Path:
    """A model of these nodes; all of it is in the file unless `how` puts weights beside it."""
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    graph = helper.make_graph(nodes, "test", inputs, outputs, weights)
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), folder / "model.onnx", **how)
    return folder / "model.onnx"


def identity(folder: Path, kind: int, shape: Sequence[int | str | None] | None) -> Path:
    node = helper.make_node("Identity", ["x"], ["y"])
    return write(folder, [node], [tensor("x", kind, shape)], [tensor("y", kind, shape)])


def zip_map(folder: Path) -> Path:
    """What converters of scikit-learn's classifiers end with: one object of scores for each row."""
    node = helper.make_node("ZipMap", ["x"], ["scores"], domain="ai.onnx.ml", classlabels_strings=["a", "b"])
    scores = helper.make_map_type_proto(TensorProto.STRING, helper.make_tensor_type_proto(FLOAT, None))
    output = helper.make_value_info("scores", helper.make_sequence_type_proto(scores))
    return write(folder, [node], [tensor("x", FLOAT, ["rows", 2])], [output])


def ready(path: Path) -> Model:
    return load(find(path))


def test_named_and_unknown_dimensions_are_free(tmp_path: Path) -> None:
    signature = ready(identity(tmp_path, FLOAT, ["rows", None, 3])).signatures[DEFAULT_SIGNATURE]
    assert signature == Signature(
        (TensorSpec("x", "float32", (None, None, 3)),), (TensorSpec("y", "float32", (None, None, 3)),)
    )


@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", "int8", "int64", "uint8", "uint64", "bool"]
)
def test_every_type_goes_in_and_comes_out_as_it_is(dtype: str, tmp_path: Path) -> None:
    model = ready(identity(tmp_path, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), ["rows", 2]))
    rows = np.array([[0, 1], [1, 0]], dtype)
    answer = model.predict({"x": rows})["y"]
    assert answer.dtype == dtype
    np.testing.assert_array_equal(answer, rows)


def test_strings_go_in_and_come_out_as_utf_8(tmp_path: Path) -> None:
    model = ready(identity(tmp_path, TensorProto.STRING, ["rows", 2]))
    assert model.signatures[DEFAULT_SIGNATURE].inputs[0].dtype == "string"
    rows = np.array([[b"a", "größer".encode()], [b"", b"nul\0inside"]], object)
    np.testing.assert_array_equal(model.predict({"x": rows})["y"], rows)


def test_bytes_that_are_no_text_are_refused_by_name(tmp_path: Path) -> None:
    model = ready(identity(tmp_path, TensorProto.STRING, ["rows", 1]))
    with pytest.raises(BadRequest, match="not UTF-8") as caught:
        model.predict({"x": np.array([[b"\xff"]], object)})
    assert caught.value.field == "x"


def test_objects_of_scores_become_columns(tmp_path: Path) -> None:
    model = ready(zip_map(tmp_path))
    assert model.signatures[DEFAULT_SIGNATURE].outputs == (TensorSpec("scores", "float32", (None, None)),)
    rows = np.array([[0.25, 0.75], [1, 0], [0.5, 0.5]], np.float32)
    np.testing.assert_array_equal(model.predict({"x": rows})["scores"], rows)


def test_weights_beside_the_model_are_found(tmp_path: Path) -> None:
    ones = helper.make_tensor("w", FLOAT, [2, 2], np.ones(4, np.float32).tobytes(), raw=True)
    model = ready(
        write(
            tmp_path,
            [helper.make_node("MatMul", ["x", "w"], ["y"])],
            [tensor("x", FLOAT, ["rows", 2])],
            [tensor("y", FLOAT, ["rows", 2])],
            [ones],
            save_as_external_data=True,
            location="weights.bin",
            size_threshold=0,
        )
    )
    assert (tmp_path / "weights.bin").stat().st_size == 16
    np.testing.assert_array_equal(model.predict({"x": np.ones((1, 2), np.float32)})["y"], [[2, 2]])


def test_weights_that_are_missing_are_named(tmp_path: Path) -> None:
    test_weights_beside_the_model_are_found(tmp_path)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(ModelUnusable, match=r"model\.onnx cannot be loaded as onnx: .*weights\.bin"):
        ready(tmp_path)


@pytest.mark.parametrize("shape", [(), None], ids=["a single value", "an unknown shape"])
def test_an_input_without_rows_is_refused_by_name(shape: tuple[int, ...] | None, tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match="the input 'x' has no dimension for rows"):
        ready(identity(tmp_path, FLOAT, shape))


def test_what_cannot_be_sent_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match=r"'x' is a tensor\(bfloat16\), which cannot be sent"):
        ready(identity(tmp_path, TensorProto.BFLOAT16, ["rows", 2]))


def test_an_operation_that_onnx_runtime_lacks_is_named_in_one_line(tmp_path: Path) -> None:
    node = helper.make_node("Guess", ["x"], ["y"])
    write(tmp_path, [node], [tensor("x", FLOAT, ["rows"])], [tensor("y", FLOAT, ["rows"])])
    with pytest.raises(ModelUnusable, match="Guess") as caught:
        ready(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_model_is_refused_in_one_line(no_model: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(no_model)
    with pytest.raises(ModelUnusable, match=r"^model\.onnx cannot be loaded as onnx: [^\n]+$"):
        ready(tmp_path)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
def test_a_file_that_was_cut_off_is_refused(kept: float, tmp_path: Path) -> None:
    whole = (EXAMPLES / "digits-onnx" / "model.onnx").read_bytes()
    (tmp_path / "model.onnx").write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(ModelUnusable, match="cannot be loaded as onnx"):
        ready(tmp_path)


def test_many_threads_get_the_same_answers(answers_alike_from_many_threads: AnswersAlike) -> None:
    pixels = np.random.default_rng(7).integers(0, 17, (5, 64)).astype(np.float32)
    answers_alike_from_many_threads(ready(EXAMPLES / "digits-onnx"), {"pixels": pixels})


@pytest.fixture(scope="module")
def both_forms(load_model: Callable[[Path], Model]) -> tuple[Model, Model]:
    """The digits classifier in Keras's file and in ONNX's."""
    return load_model(EXAMPLES / "digits"), load_model(EXAMPLES / "digits-onnx")


def test_the_digits_example_answers_as_its_keras_form(both_forms: tuple[Model, Model]) -> None:
    pixels = np.random.default_rng(7).integers(0, 17, (100, 64)).astype(np.float32)
    keras, onnx_ = (form.predict({"pixels": pixels})["digit"] for form in both_forms)
    np.testing.assert_allclose(keras, onnx_, rtol=0, atol=1e-5)
