from __future__ import annotations

import gzip
import os
import pickle
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from doubles.models import (
    KERAS_PARTS,
    LFS_POINTER,
    LIGHTGBM,
    PICKLE,
    SKOPS,
    STATE_DICT,
    TORCH_EXPORT,
    TORCHSCRIPT,
    XGBOOST_BINARY,
    XGBOOST_JSON,
    hdf5_bytes,
    keras_bytes,
    onnx_bytes,
    write_saved_model,
    zip_bytes,
)

from ml_containerize.plan.model.formats import detect_format
from ml_containerize.plan.model.lfs import LfsPointer
from ml_containerize.plan.model.unusable import CorruptModel, UnknownFormat, UnreadableModel


@pytest.fixture
def other_user() -> Iterator[Path]:
    """A folder in which the test is not root, who may read everything."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    was_root = os.geteuid() == 0
    if was_root:
        os.chown(folder, 65534, -1)
        os.seteuid(65534)
    yield folder
    if was_root:
        os.seteuid(0)
    shutil.rmtree(folder)


def test_a_keras_file_is_an_archive_of_three_parts(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(keras_bytes())
    assert detect_format(path) == "keras"


@pytest.mark.parametrize("version", [0, 1, 2, 3])
def test_an_h5_file_has_a_superblock_of_any_version(tmp_path: Path, version: int) -> None:
    path = tmp_path / "model.h5"
    path.write_bytes(hdf5_bytes(version))
    assert detect_format(path) == "h5"
    path.write_bytes(hdf5_bytes(version)[:-1])
    with pytest.raises(CorruptModel, match="should have 2048 bytes but has 2047"):
        detect_format(path)


def test_a_folder_with_a_graph_and_variables_is_a_saved_model(tmp_path: Path) -> None:
    assert detect_format(write_saved_model(tmp_path / "export")) == "saved_model"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a zip",
        keras_bytes()[:-40],
        keras_bytes(("config.json",)),
        keras_bytes(KERAS_PARTS, "{"),
        b"\0" * 40 + keras_bytes()[40:],
    ],
    ids=["empty", "text", "cut off", "parts missing", "bad json", "overwritten"],
)
def test_a_corrupt_keras_file_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(content)
    with pytest.raises(CorruptModel, match="is damaged") as caught:
        detect_format(path)
    assert caught.value.exit_code == 3


def test_an_h5_file_that_is_none_is_told(tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    path.write_bytes(b"PK\3\4")
    with pytest.raises(CorruptModel, match="HDF5"):
        detect_format(path)


@pytest.mark.parametrize("name", ["model.keras", "model.h5", "model.onnx"])
def test_an_lfs_pointer_is_recognised_whatever_its_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(LFS_POINTER)
    with pytest.raises(LfsPointer, match="git lfs pull"):
        detect_format(path)


def test_an_lfs_pointer_is_recognised_inside_a_saved_model(tmp_path: Path) -> None:
    folder = write_saved_model(tmp_path / "export")
    (folder / "saved_model.pb").write_bytes(LFS_POINTER)
    with pytest.raises(LfsPointer, match=r"saved_model\.pb"):
        detect_format(folder)


def test_a_saved_model_without_its_variables_is_told(tmp_path: Path) -> None:
    folder = write_saved_model(tmp_path / "export")
    shutil.rmtree(folder / "variables")
    with pytest.raises(CorruptModel, match=r"variables/ folder is missing"):
        detect_format(folder)


def test_an_empty_graph_is_told(tmp_path: Path) -> None:
    folder = write_saved_model(tmp_path / "export")
    (folder / "saved_model.pb").write_bytes(b"")
    with pytest.raises(CorruptModel, match="it is empty"):
        detect_format(folder)


def test_an_empty_folder_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "export").mkdir()
    with pytest.raises(UnknownFormat, match="the folder is empty"):
        detect_format(tmp_path / "export")


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("model.tflite", "TensorFlow Lite"),
        ("model.ckpt", "a checkpoint"),
        ("model.safetensors", "safetensors"),
        ("model.json", "not XGBoost's"),
        ("model.txt", "not LightGBM's"),
        ("model.bin", "of an unknown format"),
        ("x.weights.h5", "weights without their model"),
    ],
)
def test_an_unknown_format_is_named_with_what_would_be_served(tmp_path: Path, name: str, what: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"\x80\4something")
    with pytest.raises(UnknownFormat, match=what) as caught:
        detect_format(path)
    assert "SavedModel" in caught.value.fix
    assert "ONNX" in caught.value.fix


@pytest.mark.parametrize(
    ("name", "content", "known_as"),
    [
        ("model.onnx", onnx_bytes(), "onnx"),
        ("model.skops", SKOPS, "skops"),
        ("model.pkl", PICKLE, "pickle"),
        ("model.pickle", pickle.dumps([1], 0), "pickle"),
        ("model.joblib", gzip.compress(PICKLE, mtime=0), "pickle"),
        ("model.ubj", XGBOOST_BINARY, "xgboost"),
        ("model.json", XGBOOST_JSON, "xgboost"),
        ("pretty.json", b'{\n  "learner": {}\n}\n', "xgboost"),
        ("model.txt", LIGHTGBM, "lightgbm"),
        ("model.pt", TORCHSCRIPT, "torchscript"),
        ("model.pth", TORCHSCRIPT, "torchscript"),
        ("model.pt2", TORCH_EXPORT, "torch_export"),
        ("older.pt2", zip_bytes({"serialized_exported_program.json": "{}"}), "torch_export"),
    ],
)
def test_a_file_is_known_by_its_name_and_its_beginning(
    tmp_path: Path, name: str, content: bytes, known_as: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert detect_format(path) == known_as


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("model.onnx", b"", "has an IR version and a graph"),
        ("model.onnx", onnx_bytes()[:-1], "cut off"),
        ("model.onnx", b"PK\3\4", "cannot be read as an ONNX model"),
        ("model.onnx", b"\x08" + b"\xff" * 11, "longer than 10 bytes"),
        ("model.skops", SKOPS[:-30], "cannot be read as a .skops archive"),
        ("model.skops", zip_bytes({"other": ""}), "schema.json is missing"),
        ("model.skops", zip_bytes({"schema.json": "{"}), "cannot be read as a .skops archive"),
        ("model.pkl", b"", "is empty"),
        ("model.pkl", PICKLE[:-1], "cut off"),
        ("model.ubj", XGBOOST_BINARY[:-1], "cut off"),
        ("model.ubj", b"binf", "does not begin as XGBoost's"),
        ("model.json", XGBOOST_JSON[:-1], "cut off"),
        ("model.txt", LIGHTGBM[:20], "cut off"),
        ("model.pt", TORCHSCRIPT[:-10], "cannot be read as a PyTorch archive"),
        ("model.pt", zip_bytes({"m/version": "3"}), "data.pkl is missing"),
        ("model.pt2", TORCH_EXPORT[:-10], "cannot be read as a .pt2 archive"),
        ("model.pt2", zip_bytes({"m/data/weights/weight_0": ""}), "holds no program"),
    ],
)
def test_a_damaged_file_is_told_with_what_is_wrong(
    tmp_path: Path, name: str, content: bytes, why: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(CorruptModel, match=re.escape(why)):
        detect_format(path)


@pytest.mark.parametrize("content", [STATE_DICT, b"\x80\2\x8a\nl\xfc\x9cF\xf9"], ids=["zip", "before 1.6"])
def test_weights_of_pytorch_are_refused_with_the_two_ways_to_export_a_program(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    with pytest.raises(UnknownFormat, match="pickle of weights") as caught:
        detect_format(path)
    assert "torch.jit.script" in caught.value.fix
    assert "torch.export.save" in caught.value.fix


def test_an_exported_program_under_torchscripts_suffix_is_told_how_to_be_named(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(TORCH_EXPORT)
    with pytest.raises(UnknownFormat, match=r"torch\.export") as caught:
        detect_format(tmp_path / "model.pt")
    assert ".pt2" in caught.value.fix


def test_a_folder_with_a_predictor_is_a_python_model_whatever_else_it_holds(tmp_path: Path) -> None:
    folder = write_saved_model(tmp_path / "export")
    (folder / "predictor.py").write_text("")
    assert detect_format(folder) == "python"


def test_a_predictor_is_named_by_its_folder(tmp_path: Path) -> None:
    (tmp_path / "predictor.py").write_text("")
    with pytest.raises(UnknownFormat, match="as a folder") as caught:
        detect_format(tmp_path / "predictor.py")
    assert "a folder of its own" in caught.value.fix


def test_an_onnx_model_with_weights_beside_it_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(onnx_bytes("weights/a.bin", "b.bin"))
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "a.bin").write_bytes(b"\0")
    (tmp_path / "b.bin").write_bytes(b"\0")
    assert detect_format(tmp_path) == "onnx"
    with pytest.raises(UnknownFormat, match=r"beside it, in b\.bin") as caught:
        detect_format(tmp_path / "model.onnx")
    assert "a folder of their own" in caught.value.fix


def test_an_onnx_model_whose_weights_were_left_out_is_told(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(onnx_bytes("a.bin"))
    with pytest.raises(CorruptModel, match=r"weights are missing: a\.bin"):
        detect_format(tmp_path)


def test_a_path_that_leads_out_of_an_onnx_model_is_left_to_the_scan(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(onnx_bytes("/etc/passwd", "../b.bin", "C:\\a"))
    assert detect_format(tmp_path) == "onnx"


def test_a_folder_of_several_onnx_models_is_none(tmp_path: Path) -> None:
    for name in ("a.onnx", "b.onnx"):
        (tmp_path / name).write_bytes(onnx_bytes())
    with pytest.raises(UnknownFormat, match=r"2 \.onnx files"):
        detect_format(tmp_path)


def test_an_unreadable_file_is_told(other_user: Path) -> None:
    path = other_user / "model.keras"
    path.write_bytes(keras_bytes())
    path.chmod(0)
    with pytest.raises(UnreadableModel, match="Permission denied"):
        detect_format(path)
