from __future__ import annotations

import os
from pathlib import Path

import pytest
from doubles.models import keras_bytes, write_saved_model

from ml_containerize.plan.model.candidates import ModelOutside
from ml_containerize.plan.model.files import UnservableFile, list_files


def paths(root: Path, project: Path) -> list[str]:
    return [file.path for file in list_files(root, project)]


def test_a_single_file_keeps_the_name_that_it_has_in_git(project: Path) -> None:
    (file,) = list_files(project / "model.keras", project)
    assert (file.path, file.size) == ("model.keras", len(keras_bytes()))


def test_a_folders_files_are_sorted_by_their_paths_bytes(project: Path) -> None:
    folder = write_saved_model(project / "export")
    for name in ("a b", "a\nb", "a-b", "Z", "ä", "variables2"):
        (folder / name).write_bytes(b"")
    assert paths(folder, project) == [
        "Z",
        "a\nb",
        "a b",
        "a-b",
        "saved_model.pb",
        "variables/variables.index",
        "variables2",
        "ä",
    ]


def test_a_link_to_a_file_of_the_project_is_followed(project: Path) -> None:
    folder = write_saved_model(project / "export")
    (folder / "copy.keras").symlink_to("../model.keras")
    found = {file.path: file.size for file in list_files(folder, project)}
    assert found["copy.keras"] == len(keras_bytes())


def test_a_link_out_of_the_project_is_refused(project: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("")
    folder = write_saved_model(project / "export")
    (folder / "assets").symlink_to("/etc/hostname")
    with pytest.raises(ModelOutside, match="leads out of the project"):
        list_files(folder, project)


@pytest.mark.parametrize(
    ("target", "why"), [("gone", "a link to nothing"), ("variables", "a link to a folder")]
)
def test_other_links_are_refused(project: Path, target: str, why: str) -> None:
    folder = write_saved_model(project / "export")
    (folder / "link").symlink_to(target)
    with pytest.raises(UnservableFile, match=why):
        list_files(folder, project)


def test_what_is_neither_file_nor_folder_is_refused(project: Path) -> None:
    folder = write_saved_model(project / "export")
    os.mkfifo(folder / "pipe")
    with pytest.raises(UnservableFile, match="neither a file nor a folder"):
        list_files(folder, project)


def test_a_name_that_is_not_utf_8_is_refused(project: Path) -> None:
    folder = write_saved_model(project / "export")
    (folder / os.fsdecode(b"\xff")).write_bytes(b"")
    with pytest.raises(UnservableFile, match="not UTF-8"):
        list_files(folder, project)
