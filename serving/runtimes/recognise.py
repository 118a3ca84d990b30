"""The known formats, and how a model of each is recognised on disk where nobody names its format."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Candidates = Callable[[Path], list[Path]]  # the models of one format at a path; may raise OSError

_WEIGHTS = ".weights.h5"  # variables without their model
_HEAD = 256  # bytes that tell a format whose suffix is anybody's


@dataclass(frozen=True, slots=True)
class Format:
    """How a format is recognised in a folder, and the module that loads it."""

    name: str
    module: str
    candidates: Candidates
    has_signatures: bool = False  # several by name, one of which can be chosen as the default


def _files(*suffixes: str, test: Callable[[Path], bool] = Path.is_file) -> Candidates:
    def candidates(path: Path) -> list[Path]:
        files = [path] if path.is_file() else sorted(path.iterdir())
        return [
            file
            for file in files
            if file.suffix in suffixes and not file.name.endswith(_WEIGHTS) and test(file)
        ]

    return candidates


def _folder_with(name: str) -> Candidates:
    return lambda path: [path] if (path / name).is_file() else []


def _starts_with(pattern: bytes) -> Callable[[Path], bool]:
    def test(file: Path) -> bool:
        with file.open("rb") as stream:
            return re.match(pattern, stream.read(_HEAD)) is not None

    return test


def _is_torchscript(file: Path) -> bool:
    """TorchScript's archive has constants.pkl, that of `torch.save` has not (torch/serialization.py)."""
    try:
        with zipfile.ZipFile(file) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except zipfile.BadZipFile:
        return False


def _xgboost(path: Path) -> list[Path]:
    return [*_files(".ubj")(path), *_files(".json", test=_starts_with(rb'\s*\{\s*"learner"'))(path)]


FORMATS = (
    Format("keras", "serving.runtimes.keras_file", _files(".keras")),
    Format("h5", "serving.runtimes.keras_file", _files(".h5", ".hdf5")),
    Format("saved_model", "serving.runtimes.saved_model", _folder_with("saved_model.pb"), True),
    Format("onnx", "serving.runtimes.onnx", _files(".onnx")),
    Format("skops", "serving.runtimes.sklearn", _files(".skops")),
    Format("pickle", "serving.runtimes.sklearn", _files(".pkl", ".pickle", ".joblib")),
    Format("xgboost", "serving.runtimes.xgboost", _xgboost),
    Format("lightgbm", "serving.runtimes.lightgbm", _files(".txt", test=_starts_with(rb"tree\r?\n"))),
    Format("torchscript", "serving.runtimes.torch", _files(".pt", ".pth", test=_is_torchscript)),
    Format("torch_export", "serving.runtimes.torch", _files(".pt2")),
    Format("python", "serving.runtimes.predictor", _folder_with("predictor.py")),
)
