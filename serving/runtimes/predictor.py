"""A user's own code: `predictor.py` in the model's folder, with two functions.

    def load(path): ...              # the folder, as a pathlib.Path → the model, of any type
    def predict(model, inputs): ...  # one answer for each row

    INPUTS = {"pixels": ("float32", (None, 64))}   # optional: type and shape, the rows' dimension first
    OUTPUTS = {"digit": ("float32", (None, 10))}

With INPUTS, `inputs` is a dictionary of arrays; without, the list of rows as JSON gave them. With OUTPUTS,
the answer is a dictionary of arrays, or the array where there is one; without, one JSON value for each row.
Strings in arrays are bytes, as UTF-8. The functions are never called from two threads at once, nor inside
of an event loop.
"""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Any

import numpy as np

from serving.errors import ModelUnusable, Refused, one_line
from serving.runtimes import DEFAULT_SIGNATURE
from serving.signature import Signature, TensorSpec
from serving.tensors import Tensor, numpy_dtype

FILE = "predictor.py"
MODULE = "_predictor"  # private, so that it hides no package of the user's

_ROWS = (TensorSpec("instances", "json", (None,)),)
_ANSWERS = (TensorSpec("predictions", "json", (None,)),)


class PredictorFailed(Exception):
    """The user's code raised, or answered what does not fit OUTPUTS."""


class PredictorModel:
    """What `load` gave, and the user's `predict`."""

    device = "cpu"  # what the user's code computes with is its own affair

    def __init__(
        self, signature: Signature, model: Any, predict: Callable[[Any, Any], Any], folder: Path
    ) -> None:
        self.signatures = {DEFAULT_SIGNATURE: signature}
        self._signature = signature
        self._model = model
        self._predict = predict
        self._folder = folder
        self._lock = Lock()

    def predict(self, batch: Mapping[str, Tensor], signature: str = "") -> dict[str, Tensor]:  # noqa: ARG002
        """Raises PredictorFailed, or Refused where the user's code raises that."""
        inputs = batch["instances"].tolist() if self._signature.inputs is _ROWS else dict(batch)
        rows = len(next(iter(batch.values())))
        with self._lock, _named_by_line(self._folder, PredictorFailed):
            answer = self._predict(self._model, inputs)
        if self._signature.outputs is _ANSWERS:
            return {"predictions": _json_rows(answer, rows)}
        named = answer if isinstance(answer, dict) else {self._signature.outputs[0].name: answer}
        _check_names(named, self._signature.outputs)
        return {spec.name: _array(named[spec.name], spec, rows) for spec in self._signature.outputs}


def load(path: Path) -> PredictorModel:
    """Import the file with its folder first on `sys.path`, and load the model; raises ModelUnusable."""
    folder = path.resolve()
    with _named_by_line(folder, ModelUnusable):
        module = _imported(folder)
    functions = [getattr(module, name, None) for name in ("load", "predict")]
    if not all(map(callable, functions)):
        raise ModelUnusable(f"{FILE} lacks one of its two functions: load(path), predict(model, inputs)")
    inputs = _declared(module, "INPUTS") or _ROWS
    outputs = _declared(module, "OUTPUTS") or _ANSWERS
    with _named_by_line(folder, ModelUnusable):
        model = module.load(folder)
    return PredictorModel(Signature(inputs, outputs), model, module.predict, folder)


def _imported(folder: Path) -> ModuleType:
    """A module that pickles and dataclasses find by its name, and that finds what lies beside it."""
    spec = importlib.util.spec_from_file_location(MODULE, folder / FILE)
    assert spec is not None  # noqa: S101 - the suffix is .py
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    sys.modules[MODULE] = module
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    spec.loader.exec_module(module)
    return module


@contextmanager
def _named_by_line(folder: Path, kind: type[Exception]) -> Iterator[None]:
    """Raise what the user's code raises as `kind`, in one line with the file and line that it is in."""
    try:
        yield
    except Refused:
        raise
    except (Exception, SystemExit) as error:
        raise kind(f"{_place(error, folder)}: {one_line(error)}") from error


def _place(error: BaseException, folder: Path) -> str:
    """The innermost line of the user's own that was under way, as "predictor.py:12"."""
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).is_relative_to(folder):
        return f"{Path(error.filename).relative_to(folder)}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(folder)]
    return f"{Path(own[-1].filename).relative_to(folder)}:{own[-1].lineno}" if own else FILE


def _declared(module: ModuleType, constant: str) -> tuple[TensorSpec, ...]:
    """INPUTS or OUTPUTS as specifications; none where the constant is missing."""
    declared = getattr(module, constant, {})
    try:
        return tuple(_spec(name, *kind) for name, kind in declared.items())
    except (AttributeError, TypeError, ValueError) as error:
        form = '{"name": ("float32", (None, 64))}'
        raise ModelUnusable(f"{FILE}: {constant} is not of the form {form}: {one_line(error)}") from error


def _spec(name: str, dtype: str, shape: tuple[int | None, ...] | None) -> TensorSpec:
    if not isinstance(name, str) or numpy_dtype(dtype).kind not in "fiubO":
        raise ValueError(f"{name!r} has the type {dtype!r}")
    if shape is not None and not (shape and all(size is None or size >= 1 for size in shape)):
        raise ValueError(f"{name!r} has the shape {shape!r}")
    return TensorSpec(name, dtype, None if shape is None else tuple(shape))


def _json_rows(answer: Any, rows: int) -> Tensor:
    values = answer.tolist() if isinstance(answer, np.ndarray) else answer
    if not isinstance(values, (list, tuple)) or len(values) != rows:
        listed = isinstance(values, (list, tuple))
        what = f"{len(values)} answers" if listed else f"a {type(answer).__name__}"
        raise PredictorFailed(f"{FILE}: predict answered {what} for {rows} rows, expected a list of {rows}")
    return np.fromiter(values, object, rows)


def _check_names(named: Mapping[str, Any], outputs: tuple[TensorSpec, ...]) -> None:
    wanted = [spec.name for spec in outputs]
    if sorted(named) != sorted(wanted):
        raise PredictorFailed(f"{FILE}: predict answered {sorted(named)}, but OUTPUTS has {sorted(wanted)}")


def _array(value: Any, spec: TensorSpec, rows: int) -> Tensor:
    """The array that OUTPUTS promises; raises PredictorFailed for another shape."""
    array = _texts(value) if spec.dtype == "string" else np.asarray(value, numpy_dtype(spec.dtype))
    wanted = None if spec.row_shape is None else (rows, *spec.row_shape)
    if array.shape[:1] != (rows,) or (wanted and not _fits(array.shape, wanted)):
        promised = wanted or (rows, "...")
        raise PredictorFailed(f"{FILE}: predict answered {spec.name!r} of {array.shape}, expected {promised}")
    return array


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(
        size in (None, is_) for size, is_ in zip(wanted, shape, strict=True)
    )


def _texts(value: Any) -> Tensor:
    array = np.asarray(value, object)
    flat = (text if isinstance(text, bytes) else str(text).encode("utf-8") for text in array.flat)
    return np.fromiter(flat, object, array.size).reshape(array.shape)
