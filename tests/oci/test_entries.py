from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from ml_containerize.oci.entries import Entry, UnreadableFile, folder_entries


def gathered(folder: Path, **options: object) -> dict[str, Entry]:
    entries = list(folder_entries(folder, "opt/app", **options))  # type: ignore[arg-type]
    assert len({entry.path for entry in entries}) == len(entries)
    return {entry.path: entry for entry in entries}


def test_a_folder_is_gathered_with_all_that_is_below_it(tmp_path: Path) -> None:
    (tmp_path / "sub" / "empty").mkdir(parents=True)
    (tmp_path / "sub" / "file").write_bytes(b"x")
    found = gathered(tmp_path)
    assert list(found)[:2] == ["opt/app", "opt/app/sub"]
    assert set(found) == {"opt/app", "opt/app/sub", "opt/app/sub/empty", "opt/app/sub/file"}
    assert found["opt/app/sub/empty"] == Entry.directory("opt/app/sub/empty")
    assert found["opt/app/sub/file"] == Entry.file("opt/app/sub/file", str(tmp_path / "sub" / "file"))


@pytest.mark.parametrize("target", ["sub//file", "/nowhere", "../outside", "."])
def test_links_stay_links_with_their_target_untouched(tmp_path: Path, target: str) -> None:
    os.symlink(target, tmp_path / "link")  # noqa: PTH211
    assert gathered(tmp_path)["opt/app/link"] == Entry.link("opt/app/link", target)


@pytest.mark.parametrize(
    ("mode", "executable"), [(0o755, True), (0o744, True), (0o644, False), (0o611, False)]
)
def test_what_its_owner_may_execute_is_executable(tmp_path: Path, mode: int, executable: bool) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "file").chmod(mode)
    assert gathered(tmp_path)["opt/app/file"].executable is executable


def test_what_is_not_kept_is_left_out_with_all_that_is_below_it(tmp_path: Path) -> None:
    (tmp_path / "cache" / "deep").mkdir(parents=True)
    (tmp_path / "kept").touch()
    assert set(gathered(tmp_path, keep=lambda path: path != "opt/app/cache")) == {"opt/app", "opt/app/kept"}


def test_a_folder_that_is_not_there_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="No such file"):
        gathered(tmp_path / "missing")


def test_a_socket_is_gathered_as_a_file_that_packing_refuses(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        assert gathered(tmp_path)["opt/app/s"].source == str(tmp_path / "s")
