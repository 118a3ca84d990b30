from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest
from doubles.git_double import GitDouble

from ml_containerize.init.repository import NoRepository, UnknownRegistry, look

Make = Callable[..., GitDouble]


def test_tracked_and_new_files_are_seen_and_deleted_ones_are_not(make_repository: Make) -> None:
    git = make_repository("a/model.keras", "gone.keras", new=("b/model.keras",))
    (git.root / "gone.keras").unlink()
    seen = look(git.root / "a", git, {})
    assert seen.root == git.root
    assert seen.files == (PurePosixPath("a/model.keras"), PurePosixPath("b/model.keras"))


def test_releases_come_from_the_remotes_own_branch_else_from_the_one_checked_out(
    make_repository: Make,
) -> None:
    git = make_repository()
    assert look(git.root, git, {}).branch == "trunk"
    git.symbolic = {"HEAD": "refs/heads/mine", "refs/remotes/origin/HEAD": "refs/remotes/origin/main"}
    assert look(git.root, git, {}).branch == "main"
    git.symbolic = {}
    assert look(git.root, git, {}).branch == "main"


@pytest.mark.parametrize(
    ("remote", "images"),
    [
        ("git@github.com:Ada/irises.git", "ghcr.io/ada/{name}"),
        ("https://token@github.com/ada-labs/irises", "ghcr.io/ada-labs/{name}"),
        ("", "ghcr.io/${{ github.repository_owner }}/{name}"),
    ],
)
def test_images_go_to_the_registry_of_the_repositorys_owner(
    make_repository: Make, remote: str, images: str
) -> None:
    git = make_repository()
    git.remote = remote
    assert look(git.root, git, {}).images() == images


@pytest.mark.parametrize("remote", ["https://gitlab.com/ada/irises", 'https://github.com/a"b/irises'])
def test_where_another_host_does_not_tell_its_registry_the_user_must(
    make_repository: Make, remote: str
) -> None:
    git = make_repository()
    git.remote = remote
    with pytest.raises(UnknownRegistry, match="--images"):
        look(git.root, git, {}).images()


def test_a_folder_outside_of_git_is_exit_3(tmp_path: Path) -> None:
    with pytest.raises(NoRepository, match="git init") as caught:
        look(tmp_path, GitDouble(tmp_path), {})
    assert caught.value.exit_code == 3
