from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from serving.errors import ModelUnusable
from serving.runtimes import FORMATS, find, load


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


@pytest.mark.parametrize(
    ("file", "name"), [("model.keras", "keras"), ("model.h5", "h5"), ("old model.hdf5", "h5")]
)
def test_the_one_model_file_of_a_folder_is_found(file: str, name: str, tmp_path: Path) -> None:
    found = find(touch(tmp_path, file, "metrics.json", "README.md"))
    assert (found.format.name, found.path) == (name, tmp_path / file)
    assert find(tmp_path / file) == found


def test_a_saved_model_is_the_folder_itself(tmp_path: Path) -> None:
    found = find(touch(tmp_path, "saved_model.pb", "variables/variables.index"))
    assert (found.format.name, found.path) == ("saved_model", tmp_path)


@pytest.mark.parametrize("files", [("a.keras", "b.keras"), ("a.keras", "a.h5")])
def test_two_models_are_one_too_many(files: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match="several models"):
        find(touch(tmp_path, *files))


def test_a_named_format_chooses_among_models(tmp_path: Path) -> None:
    assert find(touch(tmp_path, "a.keras", "a.h5"), "h5").path == tmp_path / "a.h5"


def test_an_unknown_format_is_refused_with_those_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match="unknown model format 'caffe', known are keras, h5, saved_model"):
        find(tmp_path, "caffe")


def test_no_model_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match="no model at"):
        find(tmp_path / "nowhere")
    with pytest.raises(ModelUnusable, match="no model of a known format"):
        find(touch(tmp_path, "model.bin", "model.weights.h5"))
    with pytest.raises(ModelUnusable, match=r"no model of this format in .* \(onnx\)"):
        find(tmp_path, "onnx")


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("model.onnx", "onnx"),
        ("model.skops", "skops"),
        ("model.pkl", "pickle"),
        ("model.joblib", "pickle"),
        ("model.ubj", "xgboost"),
        ("model.pt2", "torch_export"),
    ],
)
def test_a_suffix_of_one_format_tells_it(file: str, name: str, tmp_path: Path) -> None:
    assert find(touch(tmp_path, file)).format.name == name


@pytest.mark.parametrize(
    ("file", "start", "name"),
    [
        ("model.json", b'{ "learner":{"attributes":{}', "xgboost"),
        ("model.txt", b"tree\nversion=v4\n", "lightgbm"),
    ],
)
def test_a_suffix_of_anybody_s_needs_the_format_s_first_bytes(
    file: str, start: bytes, name: str, tmp_path: Path
) -> None:
    touch(tmp_path, "metrics.json", "requirements.txt")
    (tmp_path / file).write_bytes(start)
    assert find(tmp_path).format.name == name


@pytest.mark.parametrize(("member", "count"), [("model/constants.pkl", 1), ("model/data.pkl", 0)])
def test_torchscript_is_told_from_weights_by_its_constants(member: str, count: int, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.pt", "w") as archive:
        archive.writestr(member, b"")
    (tmp_path / "broken.pt").write_bytes(b"PK")
    torchscript = next(each for each in FORMATS if each.name == "torchscript")
    assert len(torchscript.candidates(tmp_path)) == count


def test_a_predictor_is_its_folder_whatever_model_lies_beside_it(tmp_path: Path) -> None:
    found = find(touch(tmp_path, "predictor.py", "model.pkl"))
    assert (found.format.name, found.path) == ("python", tmp_path)


def test_a_signature_is_chosen_only_where_there_are_several(tmp_path: Path) -> None:
    found = find(touch(tmp_path, "model.onnx"))
    with pytest.raises(ModelUnusable, match="onnx models have no signatures"):
        load(found, "predict")
