"""TorchScript and torch.export answer as the module does in Python; skipped where torch is not installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.errors import ModelUnusable
from serving.runtimes import DEFAULT_SIGNATURE, Model, find, load
from serving.signature import Signature, TensorSpec
from tests.serving.runtimes.conftest import AnswersAlike

torch = pytest.importorskip("torch")

EXAMPLES = Path(__file__).parents[3] / "examples"
PAIRS = np.array([[1, 2], [3, 4], [5, 6]], np.float32)

pytestmark = pytest.mark.timeout(240)  # the first test imports torch


class Sum(torch.nn.Module):  # type: ignore[misc, name-defined]
    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return left + right


class Both(torch.nn.Module):  # type: ignore[misc, name-defined]
    def forward(self, pairs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return pairs * 2, pairs.sum(1)


class Named(torch.nn.Module):  # type: ignore[misc, name-defined]
    def forward(self, pairs: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"doubled": pairs * 2, "total": pairs.sum(1)}


class Padded(torch.nn.Module):  # type: ignore[misc, name-defined]
    def forward(self, pairs: torch.Tensor, offset: int) -> torch.Tensor:
        return pairs + offset


class Written(torch.nn.Module):  # type: ignore[misc, name-defined]
    def forward(self, pairs: torch.Tensor) -> torch.Tensor:
        return pairs.add_(1)


def script(folder: Path, module: Any, signature: object = None) -> Path:
    text = signature if isinstance(signature, str) else json.dumps(signature)
    extra = {} if signature is None else {"signature.json": text}
    torch.jit.save(torch.jit.script(module), folder / "model.pt", _extra_files=extra)
    return folder


def export(folder: Path, module: Any, *examples: Any, **how: Any) -> Path:
    rows = torch.export.Dim("rows")
    dynamic = tuple({0: rows} for _ in examples)
    torch.export.save(
        torch.export.export(module, examples, dynamic_shapes=dynamic, **how), folder / "model.pt2"
    )
    return folder


def served(folder: Path) -> Model:
    return load(find(folder))


def signature_of(model: Model) -> Signature:
    return model.signatures[DEFAULT_SIGNATURE]


def spec(name: str, dtype: str = "float32", shape: list[int | None] | None = None) -> dict[str, Any]:
    return {"name": name, "dtype": dtype, "shape": shape}


def test_a_script_s_inputs_have_the_names_in_its_code_and_any_shape(tmp_path: Path) -> None:
    model = served(script(tmp_path, Sum()))
    assert signature_of(model) == Signature(
        (TensorSpec("left", "float32", None), TensorSpec("right", "float32", None)),
        (TensorSpec("output_0", "float32", None),),
    )
    np.testing.assert_array_equal(model.predict({"left": PAIRS, "right": PAIRS})["output_0"], PAIRS * 2)


def test_a_script_s_several_outputs_are_numbered(tmp_path: Path) -> None:
    answer = served(script(tmp_path, Both())).predict({"pairs": PAIRS})
    assert list(answer) == ["output_0", "output_1"]
    np.testing.assert_array_equal(answer["output_1"], [3, 7, 11])


def test_a_signature_in_the_archive_says_names_types_and_shapes(tmp_path: Path) -> None:
    written = {
        "inputs": [spec("pairs", "float64", [None, 2])],
        "outputs": [spec("total", "float64", [None]), spec("doubled", "float64", [None, 2])],
    }
    model = served(script(tmp_path, Named(), written))
    assert signature_of(model) == Signature(
        (TensorSpec("pairs", "float64", (None, 2)),),
        (TensorSpec("total", "float64", (None,)), TensorSpec("doubled", "float64", (None, 2))),
    )
    answer = model.predict({"pairs": PAIRS.astype(np.float64)})
    assert list(answer) == ["total", "doubled"]
    np.testing.assert_array_equal(answer["total"], [3, 7, 11])


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("{", "JSONDecodeError"),
        ([], "TypeError"),
        ({"inputs": [spec("a")]}, "KeyError 'outputs'"),
        ({"inputs": [], "outputs": [spec("a")]}, "names no inputs"),
        ({"inputs": [spec("a")], "outputs": []}, "names no outputs"),
        ({"inputs": [spec("a", "complex64")], "outputs": [spec("b")]}, "of the type 'complex64'"),
        ({"inputs": [spec("a", "float32", [])], "outputs": [spec("b")]}, "of the shape"),
        ({"inputs": [spec("a", "float32", [0])], "outputs": [spec("b")]}, "of the shape"),
    ],
)
def test_a_signature_that_says_nothing_useful_is_refused(written: object, said: str, tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match=rf"signature\.json .*{said}"):
        served(script(tmp_path, Both(), written))


@pytest.mark.parametrize("module", [Named(), Padded()], ids=["a dictionary out", "a number in"])
def test_what_the_code_does_not_tell_needs_a_signature(module: Any, tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match=r"and no signature\.json in the archive says what that means"):
        served(script(tmp_path, module))


def test_an_export_has_names_types_and_shapes_of_its_own(tmp_path: Path) -> None:
    model = served(export(tmp_path, Named(), torch.zeros(2, 2)))
    assert signature_of(model) == Signature(
        (TensorSpec("pairs", "float32", (None, 2)),),
        (TensorSpec("doubled", "float32", (None, 2)), TensorSpec("total", "float32", (None,))),
    )
    for rows in (1, 3):
        answer = model.predict({"pairs": PAIRS[:rows]})
        np.testing.assert_array_equal(answer["doubled"], PAIRS[:rows] * 2)
        np.testing.assert_array_equal(answer["total"], PAIRS[:rows].sum(axis=1))


def test_an_export_s_outputs_without_names_are_numbered(tmp_path: Path) -> None:
    model = served(export(tmp_path, Both(), torch.zeros(2, 2)))
    assert [output.name for output in signature_of(model).outputs] == ["output_0", "output_1"]
    np.testing.assert_array_equal(model.predict({"pairs": PAIRS})["output_1"], [3, 7, 11])


def test_an_export_s_inputs_by_keyword_arrive_there(tmp_path: Path) -> None:
    rows = torch.export.Dim("rows")
    program = torch.export.export(
        Sum(),
        (torch.zeros(2, 2),),
        {"right": torch.zeros(2, 2)},
        dynamic_shapes={"left": {0: rows}, "right": {0: rows}},
    )
    torch.export.save(program, tmp_path / "model.pt2")
    answer = served(tmp_path).predict({"left": PAIRS, "right": PAIRS * 10})
    np.testing.assert_array_equal(answer["output_0"], PAIRS * 11)


def test_an_export_for_one_number_of_rows_says_so(tmp_path: Path) -> None:
    torch.export.save(torch.export.export(Both(), (torch.zeros(4, 2),)), tmp_path / "model.pt2")
    assert signature_of(served(tmp_path)).inputs == (TensorSpec("pairs", "float32", (4, 2)),)


def test_an_input_that_is_no_tensor_is_refused(tmp_path: Path) -> None:
    torch.export.save(torch.export.export(Padded(), (torch.zeros(4, 2), 3)), tmp_path / "model.pt2")
    with pytest.raises(ModelUnusable, match="takes or gives 3, and only tensors"):
        served(tmp_path)


@pytest.mark.parametrize("dtype", ["float16", "float64", "int8", "int64", "uint8", "bool"])
def test_every_type_goes_in_and_comes_out_as_it_is(dtype: str, tmp_path: Path) -> None:
    example = torch.zeros(2, 2, dtype=getattr(torch, dtype))
    model = served(export(tmp_path, torch.nn.Flatten(), example))
    (given,), (output,) = signature_of(model).inputs, signature_of(model).outputs
    assert (given.dtype, output.dtype) == (dtype, dtype)
    rows = np.array([[0, 1], [1, 0]], dtype)
    answer = model.predict({given.name: rows})[output.name]
    assert answer.dtype == dtype
    np.testing.assert_array_equal(answer, rows)


def test_bfloat16_travels_as_float32(tmp_path: Path) -> None:
    model = served(export(tmp_path, Both(), torch.zeros(2, 2, dtype=torch.bfloat16)))
    assert signature_of(model).inputs == (TensorSpec("pairs", "bfloat16", (None, 2)),)
    answer = model.predict({"pairs": PAIRS})["output_0"]
    assert answer.dtype == np.float32
    np.testing.assert_array_equal(answer, PAIRS * 2)


def test_a_model_that_writes_into_its_input_leaves_the_request_alone(tmp_path: Path) -> None:
    received = np.frombuffer(PAIRS.tobytes(), np.float32).reshape(PAIRS.shape)
    answer = served(script(tmp_path, Written())).predict({"pairs": received})["output_0"]
    np.testing.assert_array_equal(answer, PAIRS + 1)
    np.testing.assert_array_equal(received, PAIRS)


@pytest.mark.parametrize("kind", ["torchscript", "torch_export"])
def test_a_file_that_is_no_model_is_refused_in_one_line(kind: str, no_model: bytes, tmp_path: Path) -> None:
    (tmp_path / ("model.pt" if kind == "torchscript" else "model.pt2")).write_bytes(no_model)
    with pytest.raises(ModelUnusable, match=r"^[^\n]+$"):
        load(find(tmp_path, kind))


@pytest.mark.parametrize("name", ["digits-torchscript/model.pt", "digits-torch-export/model.pt2"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
def test_a_file_that_was_cut_off_is_refused(name: str, kept: float, tmp_path: Path) -> None:
    whole = (EXAMPLES / name).read_bytes()
    (tmp_path / Path(name).name).write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(ModelUnusable, match=r"^[^\n]+$"):
        served(tmp_path)


@pytest.mark.parametrize("form", ["digits-torchscript", "digits-torch-export"])
def test_many_threads_get_the_same_answers(form: str, answers_alike_from_many_threads: AnswersAlike) -> None:
    pixels = np.random.default_rng(7).integers(0, 17, (5, 64)).astype(np.float32)
    answers_alike_from_many_threads(served(EXAMPLES / form), {"pixels": pixels})
