from __future__ import annotations

import os
from pathlib import Path

import pytest

from ml_containerize.lockfile import FolderInUse, FolderUnusable, locked


def test_a_second_run_in_the_same_folder_is_refused_and_told_who_is_there(tmp_path: Path) -> None:
    with (
        locked(tmp_path),
        pytest.raises(FolderInUse, match=f"process {os.getpid()}") as caught,
        locked(tmp_path),
    ):
        pass
    assert "--output" in caught.value.fix


def test_the_folder_is_free_again_afterwards_however_the_run_ended(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), locked(tmp_path):
        raise KeyboardInterrupt
    with locked(tmp_path):
        pass


def test_other_folders_stay_free(tmp_path: Path) -> None:
    with locked(tmp_path / "a"), locked(tmp_path / "b"):
        assert (tmp_path / "a").is_dir()


def test_a_folder_that_cannot_be_made_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FolderUnusable, match="Not a directory"), locked(tmp_path / "file" / "output"):
        pass
