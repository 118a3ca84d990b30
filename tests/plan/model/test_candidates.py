from __future__ import annotations

from pathlib import Path

import pytest
from doubles.models import (
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
)

from ml_containerize.plan.model.candidates import ModelNotFound, ModelOutside, SeveralModels, find_model
from ml_containerize.plan.model.unusable import UnknownFormat


def find(project: Path, named: str | None = None) -> Path:
    return find_model(project / named if named else None, project, project / ".ml-containerize")


def test_the_only_model_is_found_by_itself(project: Path) -> None:
    assert find(project) == project / "model.keras"


def test_a_model_is_found_in_folders_below(empty: Path) -> None:
    (empty / "a" / "b").mkdir(parents=True)
    (empty / "a" / "b" / "model.h5").write_bytes(hdf5_bytes())
    assert find(empty) == empty / "a" / "b" / "model.h5"


def test_a_saved_model_is_one_candidate_however_many_files_it_has(empty: Path) -> None:
    folder = write_saved_model(empty / "export" / "1")
    (folder / "assets").mkdir()
    (folder / "assets" / "lookup.h5").write_bytes(b"")
    assert find(empty) == folder


def test_hidden_folders_the_work_folder_and_weights_are_no_candidates(project: Path) -> None:
    for folder in (".venv", ".ml-containerize"):
        (project / folder).mkdir()
        (project / folder / "other.keras").write_bytes(keras_bytes())
    (project / "out").mkdir()
    (project / "out" / "other.keras").write_bytes(keras_bytes())
    (project / "model.weights.h5").write_bytes(hdf5_bytes())
    assert find_model(None, project, project / "out") == project / "model.keras"


def test_two_candidates_are_listed_and_one_must_be_named(project: Path) -> None:
    write_saved_model(project / "export")
    with pytest.raises(SeveralModels) as caught:
        find(project)
    assert "'export'" in caught.value.what
    assert "'model.keras'" in caught.value.what
    assert "`model: export`" in caught.value.fix
    assert find(project, "model.keras") == project / "model.keras"


def test_a_missing_model_is_told(empty: Path) -> None:
    (empty / "README.md").write_text("")
    with pytest.raises(ModelNotFound, match="No model in") as caught:
        find(empty)
    assert "`model:`" in caught.value.fix
    with pytest.raises(ModelNotFound, match=r"model\.keras does not exist"):
        find(empty, "model.keras")


def test_an_empty_folder_is_told(empty: Path) -> None:
    with pytest.raises(ModelNotFound, match="is empty"):
        find(empty)


def test_a_model_of_another_kind_is_named(empty: Path) -> None:
    (empty / "model.tflite").write_bytes(b"")
    with pytest.raises(UnknownFormat, match=r"model\.tflite .* TensorFlow Lite"):
        find(empty)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.onnx", onnx_bytes()),
        ("model.skops", SKOPS),
        ("model.pkl", PICKLE),
        ("model.ubj", XGBOOST_BINARY),
        ("model.json", XGBOOST_JSON),
        ("model.txt", LIGHTGBM),
        ("model.pt", TORCHSCRIPT),
        ("model.pt2", TORCH_EXPORT),
        ("model/predictor.py", b""),
    ],
)
def test_every_format_is_found_by_itself(empty: Path, name: str, content: bytes) -> None:
    path = empty / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    assert find(empty) == (path.parent if name.endswith(".py") else path)


def test_other_json_texts_and_checkpoints_are_no_candidates(project: Path) -> None:
    (project / "smoke").mkdir()
    (project / "smoke" / "one.json").write_bytes(XGBOOST_JSON)
    (project / "metrics.json").write_bytes(XGBOOST_JSON)
    (project / "requirements.txt").write_bytes(LIGHTGBM)
    (project / "notes.txt").write_text("trees are fine\n")
    (project / "data.json").write_text('{"a": {"learner": 1}}')
    (project / "weights.pt").write_bytes(STATE_DICT)
    (project / "broken.pt").write_bytes(b"PK\3\4")
    assert find(project) == project / "model.keras"


def test_a_pickle_or_a_module_beside_a_model_is_something_else(project: Path) -> None:
    (project / "scaler.pkl").write_bytes(PICKLE)
    (project / "predictor.py").write_text("")
    (project / "app").mkdir()
    (project / "app" / "predictor.py").write_text("")
    assert find(project) == project / "model.keras"


def test_what_a_predictor_loads_is_no_candidate_of_its_own(empty: Path) -> None:
    (empty / "model").mkdir()
    (empty / "model" / "predictor.py").write_text("")
    (empty / "model" / "model.skops").write_bytes(SKOPS)
    assert find(empty) == empty / "model"


def test_an_onnx_model_is_found_with_the_folder_of_its_weights(empty: Path) -> None:
    (empty / "export").mkdir()
    (empty / "export" / "model.onnx").write_bytes(onnx_bytes("weights.bin"))
    assert find(empty) == empty / "export"
    (empty / "export" / "model.onnx").write_bytes(onnx_bytes())
    assert find(empty) == empty / "export" / "model.onnx"


def test_only_weights_of_pytorch_are_told_how_to_be_exported(empty: Path) -> None:
    (empty / "model.pt").write_bytes(STATE_DICT)
    with pytest.raises(UnknownFormat, match="pickle of weights"):
        find(empty)


def test_the_project_itself_is_no_model(empty: Path) -> None:
    write_saved_model(empty / "inner")
    for path in (empty / "inner").iterdir():
        path.rename(empty / path.name)
    with pytest.raises(UnknownFormat, match="a folder of its own"):
        find(empty)
    with pytest.raises(UnknownFormat, match="a folder of its own"):
        find(empty, ".")


def test_a_link_that_leaves_the_project_is_refused(empty: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.keras").write_bytes(keras_bytes())
    (empty / "model.keras").symlink_to("../elsewhere.keras")
    for named in (None, "model.keras", "../elsewhere.keras"):
        with pytest.raises(ModelOutside, match="leads out of the project"):
            find(empty, named)


def test_a_link_inside_the_project_is_followed(project: Path) -> None:
    (project / "weights").mkdir()
    (project / "model.keras").rename(project / "weights" / "v3")
    (project / "model.keras").symlink_to("weights/v3")
    assert find(project) == project / "model.keras"


def test_a_link_to_nothing_is_told(empty: Path) -> None:
    (empty / "model.keras").symlink_to("gone.keras")
    with pytest.raises(ModelNotFound, match="is a link to nothing"):
        find(empty)
