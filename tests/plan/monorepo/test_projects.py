from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from doubles.git_double import GitDouble

from ml_containerize.plan.git.git import Git
from ml_containerize.plan.monorepo.projects import (
    NamelessProject,
    Project,
    SharedName,
    UnusableFolder,
    find_projects,
    refuse_shared_names,
)

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


def found(
    root: Path, files: Mapping[str, str], links: Mapping[str, str] | None = None, **environ: str
) -> list[Project]:
    """The projects of a repository of these files, and of links with what they lead to."""
    (root / ".git").mkdir()
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    for path, target in (links or {}).items():
        (root / path).symlink_to(target)
    double = GitDouble(root, files=[*files, *(links or {})], links=list(links or {}))
    git = Git.open(root, double, {})
    assert git
    return list(find_projects(git, environ))


def test_a_folder_with_a_config_file_is_a_project(tmp_path: Path) -> None:
    projects = found(
        tmp_path, {"models/b/ml-containerize.yaml": "name: bees\n", "a/ml-containerize.yaml": ""}
    )
    assert projects == [Project("a", "a"), Project("bees", "models/b")]


def test_a_model_with_smoke_cases_needs_no_config_file(tmp_path: Path) -> None:
    files = {
        "cats/model.onnx": "",
        "cats/smoke/one.json": "{}",
        "dogs/out/v1/model.keras": "",
        "dogs/smoke/one.json": "{}",
        "owls/model.onnx": "",  # nothing says how to ask it
        "tests/smoke/one.json": "{}",  # nothing to ask
        "tools/smoke/test_tools.py": "",
    }
    assert [one.path for one in found(tmp_path, files)] == ["cats", "dogs"]


@pytest.mark.parametrize(
    ("model", "text"),
    [
        ("saved_model/saved_model.pb", ""),
        ("service/predictor.py", ""),
        ("trees.txt", "tree\nversion=v4\nnum_class=3\n"),
        ("booster.json", POINTER),
        ("model.pt", POINTER),
    ],
)
def test_a_model_is_known_by_its_name_or_its_beginning_or_as_a_file_that_git_lfs_keeps(
    tmp_path: Path, model: str, text: str
) -> None:
    files = {f"m/{model}": text, "m/smoke/one.json": "{}"}
    assert [one.path for one in found(tmp_path, files)] == ["m"]


@pytest.mark.parametrize(
    "other", ["notes.txt", "data.json", "weights.weights.h5", "model.pt", "smoke/x.onnx"]
)
def test_other_files_are_no_model(tmp_path: Path, other: str) -> None:
    assert found(tmp_path, {f"m/{other}": "{}", "m/smoke/one.json": "{}"}) == []


def test_a_model_belongs_to_the_innermost_folder_that_claims_it(tmp_path: Path) -> None:
    files = {
        "smoke/of-the-whole.json": "{}",
        "models/a/ml-containerize.yaml": "",
        "models/a/model.onnx": "",
        "models/b/smoke/one.json": "{}",
        "models/b/model.onnx": "",
    }
    assert [one.path for one in found(tmp_path, files)] == ["models/a", "models/b"]


def test_the_repository_itself_can_be_the_project(tmp_path: Path) -> None:
    root = tmp_path / "My Model"
    root.mkdir()
    assert found(root, {"model.onnx": "", "smoke/one.json": "{}"}) == [Project("my-model", ".")]


def test_a_config_file_that_is_not_checked_out_makes_no_project(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    git = Git.open(tmp_path, GitDouble(tmp_path, files=["a/ml-containerize.yaml", "b/smoke/x.json"]), {})
    assert git
    assert find_projects(git, {}) == ()


def test_files_outside_the_folder_that_the_config_names_belong_to_the_project(tmp_path: Path) -> None:
    config = ("requirements: ../../common/requirements.txt", "trivyignores: ../../.trivyignore")
    files = {
        "models/a/ml-containerize.yaml": "\n".join([*config, "base-image: ../../base"]),
        "common/requirements.txt": "-r more.txt\n-c ../limits.txt\nnumpy\n",
        "common/more.txt": "-r requirements.txt\n",
    }
    (project,) = found(tmp_path, files)
    assert project.outside == (
        ".trivyignore",
        "base",
        "common/more.txt",
        "common/requirements.lock",
        "common/requirements.txt",
        "limits.txt",
    )


def test_what_a_link_leads_to_belongs_to_the_project(tmp_path: Path) -> None:
    files = {"a/ml-containerize.yaml": "", "a/smoke/own.json": "", "cases/one.json": "{}"}
    links = {"a/smoke/one.json": "../../cases/one.json", "a/smoke/two.json": "own.json", "a/x": "/etc/hosts"}
    (project,) = found(tmp_path, files, links)
    assert project.outside == ("cases/one.json",)


def test_a_circle_of_links_belongs_to_nobody(tmp_path: Path) -> None:
    (project,) = found(tmp_path, {"a/ml-containerize.yaml": ""}, {"a/x": "y", "a/y": "x"})
    assert project.outside == ()


def test_a_config_file_that_cannot_be_read_leaves_the_folders_name_and_a_reason(tmp_path: Path) -> None:
    broken, wrong = found(
        tmp_path, {"a/ml-containerize.yaml": "{", "b/ml-containerize.yaml": "name: bees\nno: 1\n"}
    )
    assert (broken.name, wrong.name) == ("a", "bees")
    assert broken.problem.startswith("a/ml-containerize.yaml:")
    assert "unknown key 'no'" in wrong.problem


def test_variables_say_the_same_of_every_project(tmp_path: Path) -> None:
    files = {"models/a/ml-containerize.yaml": "", "models/b/ml-containerize.yaml": ""}
    projects = found(tmp_path, files, ML_CONTAINERIZE_REQUIREMENTS="../requirements.txt")
    assert [one.outside for one in projects] == [("models/requirements.lock", "models/requirements.txt")] * 2


@pytest.mark.parametrize(
    ("folder", "why"),
    [
        ("a\nb", "control characters"),
        ("a\x1b[31m", "control characters"),
        ("a\x7f", "control characters"),
        (" a", "space"),
        ("a ", "space"),
        ("models/a\N{REPLACEMENT CHARACTER}b", "UTF-8"),
    ],
)
def test_a_folder_that_no_job_could_be_given_is_refused(tmp_path: Path, folder: str, why: str) -> None:
    with pytest.raises(UnusableFolder, match=why) as caught:
        found(tmp_path, {f"{folder}/ml-containerize.yaml": ""})
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    "folder", ["$(touch x)", "a;b 'c' \"d\"", "😀 faces", "-rf", "%0a::error::x", "a" * 200]
)
def test_a_folder_with_an_odd_name_is_a_folder(tmp_path: Path, folder: str) -> None:
    (project,) = found(tmp_path, {f"models/{folder}/ml-containerize.yaml": "name: odd\n"})
    assert project == Project("odd", f"models/{folder}")


def test_a_folder_without_a_letter_needs_a_name(tmp_path: Path) -> None:
    with pytest.raises(NamelessProject, match="has no name") as caught:
        found(tmp_path, {"😀/ml-containerize.yaml": ""})
    assert "Set `name`" in caught.value.fix


def test_two_projects_of_one_name_are_refused_with_their_folders() -> None:
    projects = [Project("digits", "a/digits"), Project("cats", "cats"), Project("digits", "b/digits")]
    with pytest.raises(SharedName, match="a/digits\n  - b/digits"):
        refuse_shared_names(projects)
    refuse_shared_names(projects[:2])
