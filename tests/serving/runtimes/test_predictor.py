"""A user's own predictor.py: what it is given, what it may answer, and how its faults are told."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest

from serving.errors import BadRequest, ModelUnusable
from serving.runtimes import DEFAULT_SIGNATURE, Model, find, load
from serving.runtimes.predictor import MODULE, PredictorFailed
from serving.signature import Signature, TensorSpec
from serving.tensors import Tensor

JSON = Signature((TensorSpec("instances", "json", (None,)),), (TensorSpec("predictions", "json", (None,)),))


@pytest.fixture(autouse=True)
def _imports_end_with_the_test() -> Iterator[None]:
    path, modules = [*sys.path], {*sys.modules}
    yield
    sys.path[:] = path
    for name in {*sys.modules} - modules:
        if name in {MODULE, "beside"}:
            del sys.modules[name]


def served(folder: Path, code: str) -> Model:
    (folder / "predictor.py").write_text(dedent(code))
    return load(find(folder))


def rows(*values: Any) -> dict[str, Tensor]:
    """JSON rows as the server hands them over: one Python value in each element."""
    return {"instances": np.fromiter(values, object, len(values))}


def test_without_declarations_json_comes_in_and_goes_out(tmp_path: Path) -> None:
    model = served(
        tmp_path,
        """
        def load(path):
            return 10

        def predict(model, inputs):
            assert type(inputs) is list
            return [{"got": row, "model": model} for row in inputs]
        """,
    )
    assert model.signatures == {DEFAULT_SIGNATURE: JSON}
    values = [{"a": [1, 2]}, [3], "text", None, 1.5]
    answers = model.predict(rows(*values))["predictions"]
    assert answers.shape == (5,)
    assert answers.tolist() == [{"got": value, "model": 10} for value in values]


def test_an_array_is_a_list_of_json_answers_too(tmp_path: Path) -> None:
    model = served(
        tmp_path,
        """
        import numpy

        def load(path): ...

        def predict(model, inputs):
            return numpy.ones((len(inputs), 2))
        """,
    )
    assert model.predict(rows(1, 2))["predictions"].tolist() == [[1.0, 1.0], [1.0, 1.0]]


DECLARED = """
import numpy

INPUTS = {"pixels": ("float32", (None, 3)), "names": ("string", (None,))}
OUTPUTS = {"total": ("float64", (None,)), "greeting": ("string", (None,))}

def load(path): ...

def predict(model, inputs):
    greetings = [b"hello " + name for name in inputs["names"]]
    return {"greeting": greetings, "total": inputs["pixels"].sum(axis=1)}
"""


def test_declared_inputs_come_as_arrays_and_outputs_in_the_order_declared(tmp_path: Path) -> None:
    model = served(tmp_path, DECLARED)
    assert model.signatures[DEFAULT_SIGNATURE] == Signature(
        (TensorSpec("pixels", "float32", (None, 3)), TensorSpec("names", "string", (None,))),
        (TensorSpec("total", "float64", (None,)), TensorSpec("greeting", "string", (None,))),
    )
    answer = model.predict(
        {"pixels": np.ones((2, 3), np.float32), "names": np.array([b"Ada", "Jürgen".encode()], object)}
    )
    assert list(answer) == ["total", "greeting"]
    assert answer["total"].dtype == np.float64
    assert answer["total"].tolist() == [3, 3]
    assert answer["greeting"].tolist() == [b"hello Ada", "hello Jürgen".encode()]


@pytest.mark.parametrize(
    "answer", ["inputs['x'] * 2", "{'y': inputs['x'] * 2}", "(inputs['x'] * 2).tolist()"]
)
def test_one_output_may_be_the_array_itself(answer: str, tmp_path: Path) -> None:
    model = served(
        tmp_path,
        f"""
        INPUTS = {{"x": ("float32", (None, 2))}}
        OUTPUTS = {{"y": ("float32", (None, 2))}}

        def load(path): ...

        def predict(model, inputs):
            return {answer}
        """,
    )
    doubled = model.predict({"x": np.ones((3, 2), np.float32)})["y"]
    assert doubled.dtype == np.float32
    np.testing.assert_array_equal(doubled, np.full((3, 2), 2))


def test_text_may_be_answered_as_str(tmp_path: Path) -> None:
    model = served(
        tmp_path,
        """
        OUTPUTS = {"name": ("string", (None, 2))}

        def load(path): ...

        def predict(model, inputs):
            return [["ä", b"b"] for row in inputs]
        """,
    )
    assert model.predict(rows(1))["name"].tolist() == [["ä".encode(), b"b"]]


def test_load_gets_the_folder_and_finds_modules_and_data_in_it(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("OFFSET = 5\n")
    (tmp_path / "data.txt").write_text("7")
    model = served(
        tmp_path,
        """
        from beside import OFFSET

        def load(path):
            return OFFSET + int((path / "data.txt").read_text())

        def predict(model, inputs):
            return [model for row in inputs]
        """,
    )
    assert model.predict(rows(None))["predictions"].tolist() == [12]


def test_a_model_file_beside_the_code_is_the_code_s_affair(tmp_path: Path) -> None:
    (tmp_path / "weights.onnx").touch()
    model = served(tmp_path, "def load(path): ...\n\ndef predict(model, inputs): return inputs\n")
    assert model.predict(rows(1))["predictions"].tolist() == [1]


def test_a_dataclass_of_the_user_s_finds_its_module(tmp_path: Path) -> None:
    model = served(
        tmp_path,
        """
        from __future__ import annotations

        import pickle
        from dataclasses import dataclass

        @dataclass
        class Offset:
            value: int

        def load(path):
            return pickle.loads(pickle.dumps(Offset(3)))

        def predict(model, inputs):
            return [row + model.value for row in inputs]
        """,
    )
    assert model.predict(rows(1))["predictions"].tolist() == [4]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def load(path)\n    pass\n", r"predictor\.py:1: SyntaxError: .+"),
        ("\nimport nothing_of_this_name\n", r"predictor\.py:2: ModuleNotFoundError: .+"),
        ("import sys\nsys.exit('done')\n", r"predictor\.py:2: SystemExit: done"),
        (
            "def load(path):\n    return 1 / 0\n\ndef predict(model, inputs): ...\n",
            r"predictor\.py:2: ZeroDivisionError: .+",
        ),
        (
            "def load(path):\n    return int('x')\n\ndef predict(model, inputs): ...\n",
            r"predictor\.py:2: ValueError: .+",
        ),
        ("def load(path): ...\n", r"predictor\.py lacks one of its two functions: .+"),
        ("load = predict = 1\n", r"predictor\.py lacks one of its two functions: .+"),
    ],
)
def test_a_fault_is_one_line_with_its_place(code: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match=rf"^{said}$"):
        served(tmp_path, code)


def test_a_fault_in_a_module_beside_it_names_that_one(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("\n\nraise RuntimeError('not today')\n")
    with pytest.raises(ModelUnusable, match=r"^beside\.py:3: RuntimeError: not today$"):
        served(tmp_path, "import beside\n")


@pytest.mark.parametrize(
    "constant",
    [
        "INPUTS = ['x']",
        "INPUTS = {'x': 'float32'}",
        "INPUTS = {'x': ('float32',)}",
        "INPUTS = {'x': ('float', (None, 2), 3)}",
        "INPUTS = {'x': ('number', (None,))}",
        "INPUTS = {'x': ('complex64', (None,))}",
        "INPUTS = {'x': ('float32', ())}",
        "OUTPUTS = {'x': ('float32', (None, 0))}",
        "OUTPUTS = {1: ('float32', (None,))}",
    ],
)
def test_a_declaration_of_another_form_is_refused_with_an_example(constant: str, tmp_path: Path) -> None:
    code = f"{constant}\ndef load(path): ...\ndef predict(model, inputs): ...\n"
    name = constant.split()[0]
    with pytest.raises(ModelUnusable, match=rf"{name} is not of the form .*float32.*: [^\n]+$"):
        served(tmp_path, code)


def test_what_predict_raises_is_told_with_its_place(tmp_path: Path) -> None:
    model = served(
        tmp_path, "def load(path): ...\n\ndef predict(model, inputs):\n    return [inputs[0]['age']]\n"
    )
    with pytest.raises(PredictorFailed, match=r"^predictor\.py:4: KeyError: 'age'$"):
        model.predict(rows({}))


def test_a_refusal_that_predict_raises_stays_one(tmp_path: Path) -> None:
    model = served(
        tmp_path,
        """
        from serving.errors import BadRequest

        def load(path): ...

        def predict(model, inputs):
            raise BadRequest("lacks the age", "instances[0]")
        """,
    )
    with pytest.raises(BadRequest, match="lacks the age"):
        model.predict(rows({}))


@pytest.mark.parametrize(
    ("answer", "said"),
    [("[1]", "1 answers for 2 rows"), ("None", "a NoneType for 2 rows"), ("'ab'", "a str for 2 rows")],
)
def test_an_answer_without_one_value_for_each_row_is_a_fault(answer: str, said: str, tmp_path: Path) -> None:
    model = served(tmp_path, f"def load(path): ...\n\ndef predict(model, inputs): return {answer}\n")
    with pytest.raises(PredictorFailed, match=f"predict answered {said}"):
        model.predict(rows(1, 2))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("[[1, 2]]", r"'y' of \(1, 2\), expected \(2, 2\)"),
        ("[[1, 2, 3], [1, 2, 3]]", r"'y' of \(2, 3\), expected \(2, 2\)"),
        ("{'z': 1}", r"\['z'\], but OUTPUTS has \['y'\]"),
        ("{}", r"\[\], but OUTPUTS has \['y'\]"),
    ],
)
def test_an_answer_that_does_not_fit_the_declared_outputs_is_a_fault(
    answer: str, said: str, tmp_path: Path
) -> None:
    declared = "OUTPUTS = {'y': ('float32', (None, 2))}\ndef load(path): ...\n"
    model = served(tmp_path, f"{declared}def predict(model, inputs): return {answer}\n")
    with pytest.raises(PredictorFailed, match=f"predict answered {said}"):
        model.predict(rows(1, 2))


def test_predict_is_never_called_from_two_threads_at_once(tmp_path: Path) -> None:
    model = served(
        tmp_path,
        """
        def load(path):
            return []

        def predict(model, inputs):
            model.append(inputs[0].enter())
            return [inputs[0].leave()]
        """,
    )

    class Room:
        """Counts who is inside."""

        def __init__(self) -> None:
            self.inside = 0
            self.most = 0
            self.lock = threading.Lock()

        def enter(self) -> None:
            with self.lock:
                self.inside += 1
                self.most = max(self.most, self.inside)
            time.sleep(0.001)

        def leave(self) -> int:
            with self.lock:
                self.inside -= 1
            return self.most

    room = Room()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(model.predict, [rows(room)] * 32))
    assert len(answers) == 32
    assert room.most == 1
