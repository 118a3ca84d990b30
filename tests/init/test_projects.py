from __future__ import annotations

from collections.abc import Callable

import pytest
from doubles.git_double import GitDouble
from doubles.models import PICKLE, onnx_bytes

from ml_containerize.init.projects import CrowdedFolder, NoModels, find_starts
from ml_containerize.init.repository import look

Make = Callable[..., GitDouble]
Found = dict[str, tuple[str, str]]


def found(git: GitDouble, below: str = ".") -> Found:
    """Folder → model and name, each relative to the root."""
    starts = find_starts(look(git.root, git, {}), git.root / below)
    relative = (
        (start.folder.relative_to(git.root), start.model and start.model.relative_to(git.root), start.name)
        for start in starts
    )
    return {str(folder): (str(model or ""), name) for folder, model, name in relative}


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        (["model.keras"], {".": ("model.keras", "irises")}),
        (["models/model.keras"], {".": ("models/model.keras", "irises")}),
        (["models/digits/model.keras"], {"models/digits": ("models/digits/model.keras", "digits")}),
        (
            ["a/digits/model/model.keras", "b/wine/1/model.keras"],
            {
                "a/digits": ("a/digits/model/model.keras", "digits"),
                "b/wine": ("b/wine/1/model.keras", "wine"),
            },
        ),
        (
            ["a/digits/m.keras", "b/digits/m.keras"],
            {"a/digits": ("a/digits/m.keras", "a-digits"), "b/digits": ("b/digits/m.keras", "b-digits")},
        ),
        (
            ["model.keras", "other/model.keras"],
            {".": ("model.keras", "irises"), "other": ("other/model.keras", "other")},
        ),
    ],
)
def test_a_model_belongs_to_the_nearest_folder_that_can_name_it(
    make_repository: Make, models: list[str], expected: Found
) -> None:
    assert found(make_repository(*models)) == expected


def test_models_that_are_folders_are_one_model_each(make_repository: Make) -> None:
    git = make_repository(
        files={
            "digits/saved_model/saved_model.pb": b"graph",
            "digits/saved_model/assets/lookup.h5": b"",
            "wine/onnx/model.onnx": onnx_bytes("weights.bin"),
            "wine/onnx/weights.bin": b"",
            "iris/model/predictor.py": b"",
            "iris/model/data.pkl": PICKLE,
        }
    )
    assert found(git) == {
        "digits": ("digits/saved_model", "digits"),
        "iris": ("iris/model", "iris"),
        "wine": ("wine/onnx", "wine"),
    }


def test_a_project_that_has_a_config_file_speaks_for_itself(make_repository: Make) -> None:
    git = make_repository("a/one.keras", "a/two.keras", files={"a/ml-containerize.yaml": b"model: one.keras"})
    assert found(git) == {"a": ("", "a")}


@pytest.mark.parametrize("mark", ["smoke", "requests"])
def test_cases_and_requests_tell_which_folder_is_the_project(make_repository: Make, mark: str) -> None:
    git = make_repository("a/trained/best/model.keras", files={f"a/{mark}/one.json": b"{}"})
    assert found(git) == {"a": ("a/trained/best/model.keras", "a")}


def test_data_in_pickles_and_modules_named_like_a_predictor_are_no_models(make_repository: Make) -> None:
    files = {"data/train.pkl": PICKLE, "package/__init__.py": b"", "package/predictor.py": b""}
    git = make_repository("digits/model.keras", files=files)
    assert found(git) == {"digits": ("digits/model.keras", "digits")}


def test_a_pickle_is_the_model_where_there_is_no_other(make_repository: Make) -> None:
    assert found(make_repository(files={"wine.pkl": PICKLE})) == {".": ("wine.pkl", "irises")}


def test_hidden_folders_and_models_of_tests_are_not_looked_at_unless_one_points_there(
    make_repository: Make,
) -> None:
    git = make_repository("model.keras", ".cache/model.keras", "tests/data/model.keras")
    assert found(git) == {".": ("model.keras", "irises")}
    assert found(git, "tests/data") == {"tests/data": ("tests/data/model.keras", "data")}


def test_only_what_lies_below_the_folder_is_found(make_repository: Make) -> None:
    git = make_repository("models/a/model.keras", "models/b/model.keras")
    assert found(git, "models/b") == {"models/b": ("models/b/model.keras", "b")}


def test_several_models_in_one_folder_are_exit_3(make_repository: Make) -> None:
    git = make_repository("models/a.keras", "models/b.keras")
    with pytest.raises(CrowdedFolder) as caught:
        found(git)
    assert caught.value.exit_code == 3
    assert "models/a.keras" in caught.value.what
    assert "models/b.keras" in caught.value.what


def test_a_repository_without_a_model_is_exit_3(make_repository: Make) -> None:
    git = make_repository(files={"README.md": b""})
    with pytest.raises(NoModels, match="no model was found") as caught:
        found(git)
    assert caught.value.exit_code == 3
