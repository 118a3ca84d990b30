"""Which format a model has, and whether its files are whole; nothing of it is loaded or run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from ml_containerize.plan.model.archives import (
    check_keras,
    check_skops,
    check_torch_export,
    check_torchscript,
)
from ml_containerize.plan.model.heads import (
    check_hdf5,
    check_lightgbm,
    check_pickle,
    check_xgboost_binary,
    check_xgboost_json,
)
from ml_containerize.plan.model.lfs import POINTER_LIMIT, refuse_pointer
from ml_containerize.plan.model.model import Format
from ml_containerize.plan.model.onnx import check_external, check_onnx
from ml_containerize.plan.model.unusable import CorruptModel, UnknownFormat, UnreadableModel

PREDICTOR = "predictor.py"
SAVED_MODEL = "saved_model.pb"
FOREIGN = {
    ".ckpt": "a checkpoint",
    ".safetensors": "safetensors",
    ".tflite": "TensorFlow Lite",
}

Check = Callable[[Path, BinaryIO], None]

SUFFIXES: dict[str, tuple[Format, Check]] = {
    ".keras": ("keras", check_keras),
    ".h5": ("h5", check_hdf5),
    ".hdf5": ("h5", check_hdf5),
    ".onnx": ("onnx", check_onnx),
    ".skops": ("skops", check_skops),
    ".pkl": ("pickle", check_pickle),
    ".pickle": ("pickle", check_pickle),
    ".joblib": ("pickle", check_pickle),
    ".ubj": ("xgboost", check_xgboost_binary),
    ".json": ("xgboost", check_xgboost_json),
    ".txt": ("lightgbm", check_lightgbm),
    ".pt": ("torchscript", check_torchscript),
    ".pth": ("torchscript", check_torchscript),
    ".pt2": ("torch_export", check_torch_export),
}


def detect_format(path: Path) -> Format:
    """Raises UnknownFormat, CorruptModel, LfsPointer or UnreadableModel."""
    try:
        return _folder(path) if path.is_dir() else _file(path)
    except OSError as error:
        raise UnreadableModel(path, error) from error


def _folder(folder: Path) -> Format:
    if (folder / PREDICTOR).is_file():
        return "python"
    if (folder / SAVED_MODEL).is_file():
        return _saved_model(folder)
    models = sorted(folder.glob("*.onnx"))
    if len(models) == 1:
        _file(models[0], files=folder)
        return "onnx"
    raise UnknownFormat(folder, _why_no_model(folder, len(models)))


def _saved_model(folder: Path) -> Format:
    graph = folder / SAVED_MODEL
    with graph.open("rb") as stream:
        head = stream.read(POINTER_LIMIT)
    refuse_pointer(graph, head)
    if not head:
        raise CorruptModel(graph, "it is empty")
    if not (folder / "variables").is_dir():
        raise CorruptModel(folder, "its variables/ folder is missing (left out by .gitignore?)")
    return "saved_model"


def _why_no_model(folder: Path, onnx_models: int) -> str:
    if onnx_models:
        return f"the folder holds {onnx_models} .onnx files"
    if not any(folder.iterdir()):
        return "the folder is empty"
    others = f"nor has it one .onnx file or {PREDICTOR}"
    return f"a folder is served as a SavedModel, and it has no {SAVED_MODEL}; {others}"


def _file(path: Path, files: Path | None = None) -> Format:
    """The format of one file; of an ONNX model, `files` is the folder of its weights."""
    with path.open("rb") as stream:
        refuse_pointer(path, stream.read(POINTER_LIMIT))
        if path.name.endswith(".weights.h5"):
            raise UnknownFormat(path, "it holds weights without their model")
        if path.name == PREDICTOR:
            raise UnknownFormat(
                path,
                "a predictor is served with all that it loads, as a folder",
                "Move it into a folder of its own inside the project, and name that with `model:`.",
            )
        if path.suffix not in SUFFIXES:
            raise UnknownFormat(path, f"it is {FOREIGN.get(path.suffix, 'of an unknown format')}")
        format_, check = SUFFIXES[path.suffix]
        stream.seek(0)
        check(path, stream)
    if format_ == "onnx":
        check_external(path, files)
    return format_
