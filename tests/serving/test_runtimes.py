from __future__ import annotations

from pathlib import Path

import pytest

from serving.errors import ModelUnusable
from serving.runtimes import find


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
    with pytest.raises(ModelUnusable, match="unknown model format 'onnx', known are keras, h5, saved_model"):
        find(tmp_path, "onnx")


def test_no_model_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match="no model at"):
        find(tmp_path / "nowhere")
    with pytest.raises(ModelUnusable, match="no model of a known format"):
        find(touch(tmp_path, "model.pkl", "model.weights.h5"))
