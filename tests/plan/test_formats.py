from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from doubles.models import KERAS_PARTS, LFS_POINTER, hdf5_bytes, keras_bytes, write_saved_model

from ml_containerize.plan.formats import CorruptModel, UnknownFormat, UnreadableModel, detect_format
from ml_containerize.plan.lfs import LfsPointer


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
        ("model.onnx", "ONNX"),
        ("model.pt", "PyTorch"),
        ("model.pkl", "a pickle"),
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


def test_an_unreadable_file_is_told(other_user: Path) -> None:
    path = other_user / "model.keras"
    path.write_bytes(keras_bytes())
    path.chmod(0)
    with pytest.raises(UnreadableModel, match="Permission denied"):
        detect_format(path)
