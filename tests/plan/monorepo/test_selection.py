from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from doubles.git_double import SHA, GitDouble

from ml_containerize.plan.monorepo.projects import Project
from ml_containerize.plan.monorepo.selection import (
    NoSuchModel,
    NoSuchModels,
    NotARepository,
    NoVersion,
    Selection,
    TooManyModels,
    load_wanted,
    released,
    select,
)
from ml_containerize.plan.settings.problems import WrongSettings

NAMES = ("cats", "digits", "owls")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with three models in `models`."""
    (tmp_path / ".git").mkdir()
    for name in NAMES:
        (tmp_path / "models" / name).mkdir(parents=True)
        (tmp_path / "models" / name / "ml-containerize.yaml").write_text("")
    return tmp_path


def chosen(
    repository: Path,
    flags: dict[str, object] | None = None,
    tag: str = "",
    environ: dict[str, str] | None = None,
    root: str = ".",
    here: str = ".",
) -> Selection:
    files = [str(path.relative_to(repository)) for path in repository.rglob("ml-containerize.yaml")]
    wanted = load_wanted(repository / root, flags or {}, tag, environ or {}, repository / here)
    return select(wanted, run=GitDouble(repository, files=files), environ=environ or {})


def test_all_models_are_found_with_their_paths_from_the_current_folder(repository: Path) -> None:
    selection = chosen(repository)
    assert selection.paths == ("models/cats", "models/digits", "models/owls")
    assert selection.everything
    assert chosen(repository, here="models").paths == NAMES
    assert chosen(repository, root="models/digits").paths == ("models/digits",)
    elsewhere = chosen(repository, here="models/cats").paths
    assert elsewhere == (".", *(str(repository / "models" / name) for name in NAMES[1:]))


def test_the_outputs_are_a_matrix_and_what_a_workflow_asks_of_it(repository: Path) -> None:
    outputs = chosen(repository, {"paths": ["models/digits"]}).outputs()
    assert outputs == {
        "models": '{"include":[{"name":"digits","path":"models/digits"}]}',
        "count": "1",
        "any": "true",
        "reason": "all models: nothing narrows them down",
    }


def test_an_empty_matrix_is_one_too() -> None:
    nothing = Selection((), (), False, "0 of 3 models changed since 1a2b3c")
    assert nothing.outputs()["models"] == '{"include":[]}'
    assert (nothing.outputs()["count"], nothing.outputs()["any"]) == ("0", "false")
    assert nothing.as_json() == {"include": [], "all": False, "reason": "0 of 3 models changed since 1a2b3c"}


def test_hostile_names_stay_text_in_the_matrix(repository: Path) -> None:
    for name in ('$(id)"; x', "`x` 😀 ${{ github.token }}", "%0A::error::x"):
        (repository / "models" / name).mkdir()
        (repository / "models" / name / "ml-containerize.yaml").write_text("")
    text = chosen(repository).outputs()["models"]
    paths = {job["path"] for job in json.loads(text)["include"]}
    assert "\n" not in text
    assert {'models/$(id)"; x', "models/`x` 😀 ${{ github.token }}", "models/%0A::error::x"} < paths
    assert {job["name"] for job in json.loads(text)["include"]} == {
        *NAMES,
        "id-x",
        "x-github-token",
        "0a-error-x",
    }


def test_patterns_choose_folders(repository: Path) -> None:
    assert chosen(repository, {"paths": ["models/c*", "models/owls"]}).paths == ("models/cats", "models/owls")
    by_variable = {"ML_CONTAINERIZE_PATHS": "models/*s\nother/*"}
    assert chosen(repository, environ=by_variable).paths == ("models/cats", "models/digits", "models/owls")


def test_patterns_that_cover_no_model_are_told_with_what_there_is(repository: Path) -> None:
    with pytest.raises(NoSuchModels, match=r"'model/\*'; there are: models/cats, models/digits") as caught:
        chosen(repository, {"paths": ["model/*"]})
    assert caught.value.exit_code == 3


def test_more_models_than_a_matrix_takes_are_refused_and_never_cut(repository: Path) -> None:
    assert len(chosen(repository, {"max-models": "3"}).projects) == 3
    with pytest.raises(TooManyModels, match="3 models were found, and at most 2") as caught:
        chosen(repository, {"max-models": "2"})
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("flags", "tag", "why"),
    [
        ({"max-models": "257"}, "", "from 1 to 256"),
        ({"max-models": "0"}, "", "from 1 to 256"),
        ({"paths": ["../x"]}, "", "a pattern of paths"),
        ({"shared": ["!x"]}, "", "a pattern of paths"),
        ({"changed": True}, "v1.2.3", "not about what changed"),
    ],
)
def test_what_cannot_be_meant_is_exit_2(
    repository: Path, flags: dict[str, object], tag: str, why: str
) -> None:
    with pytest.raises(WrongSettings, match=why):
        load_wanted(repository, flags, tag, {}, repository)


def test_a_folder_outside_of_git_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotARepository, match="not in a git repository"):
        select(load_wanted(tmp_path, {}, "", {}, tmp_path), run=GitDouble(tmp_path), environ={})


PROJECTS = tuple(Project(name, f"models/{name}") for name in NAMES)


@pytest.mark.parametrize(
    ("tag", "names", "everything"),
    [
        ("v1.2.3", NAMES, True),
        ("1.2.3", NAMES, True),
        ("v1.2.3-rc.1", NAMES, True),
        ("digits/v1.2.3", ("digits",), False),
        ("digits/v0.1.0-rc.1", ("digits",), False),
    ],
)
def test_a_tag_releases_the_model_that_it_names_or_all(
    tag: str, names: tuple[str, ...], everything: bool
) -> None:
    found = released(tag, PROJECTS)
    assert tuple(one.name for one in found.projects) == names
    assert found.everything is everything
    assert repr(tag) in found.reason


@pytest.mark.parametrize(
    "tag",
    ["nightly", "v1.2", "digits/latest", "$(touch x)", "v1.2.3 ", "x" * 300, "😀", "v1.2.3'; x", "digits/"],
)
def test_a_tag_that_is_no_version_releases_nothing(tag: str) -> None:
    with pytest.raises(NoVersion, match="is no version") as caught:
        released(tag, PROJECTS)
    assert caught.value.exit_code == 3
    assert "NAME/v1.2.3" in caught.value.fix


@pytest.mark.parametrize("tag", ["digit/v1.2.3", "models/digits/v1.2.3", "$(x)/v1.2.3", "😀/v1.2.3"])
def test_a_tag_that_names_no_model_here_releases_nothing(tag: str) -> None:
    with pytest.raises(NoSuchModel, match="which is not here") as caught:
        released(tag, PROJECTS)
    assert caught.value.exit_code == 3
    assert "cats, digits, owls" in caught.value.fix


def test_a_near_name_is_suggested() -> None:
    with pytest.raises(NoSuchModel, match="perhaps you meant 'digits'"):
        released("digit/v1.2.3", PROJECTS)


def event(tmp_path: Path, ref: str, **content: Any) -> dict[str, str]:
    path = tmp_path / "event.json"
    path.write_text(json.dumps(content))
    return {"GITHUB_SHA": SHA, "GITHUB_REF": ref, "GITHUB_EVENT_PATH": str(path)}


def test_the_events_tag_releases_unless_changes_are_asked_for(repository: Path) -> None:
    environ = event(repository, "refs/tags/digits/v1.2.3", before="0" * 40)
    assert chosen(repository, environ=environ).paths == ("models/digits",)
    assert chosen(repository, tag="cats/v1.0.0", environ=environ).paths == ("models/cats",)
    changed = chosen(repository, {"changed": True}, environ=environ)
    assert (changed.everything, len(changed.projects)) == (True, 3)
