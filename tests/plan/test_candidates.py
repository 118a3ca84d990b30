from __future__ import annotations

from pathlib import Path

import pytest
from doubles.models import hdf5_bytes, keras_bytes, write_saved_model

from ml_containerize.plan.candidates import ModelNotFound, ModelOutside, SeveralModels, find_model
from ml_containerize.plan.formats import UnknownFormat


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
    (empty / "model.onnx").write_bytes(b"")
    with pytest.raises(UnknownFormat, match=r"model\.onnx .* ONNX"):
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
