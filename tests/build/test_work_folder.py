from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from ml_containerize.build.work_folder import (
    MEMORY,
    PREFIX,
    WorkFolder,
    free_memory,
    has_room,
    sweep,
    uv_cache,
    work_folder,
)

MEMINFO = "MemTotal:       16000000 kB\nMemAvailable:    8000000 kB\n"


def machine(folder: Path, **groups: str) -> tuple[Path, Path]:
    """A made-up /proc and /sys/fs/cgroup."""
    proc, cgroup = folder / "proc", folder / "cgroup"
    proc.mkdir()
    cgroup.mkdir()
    (proc / "meminfo").write_text(MEMINFO)
    for name, text in groups.items():
        (cgroup / name.replace("_", ".")).write_text(text)
    return proc, cgroup


def test_the_folder_is_gone_afterwards(tmp_path: Path) -> None:
    with work_folder(tmp_path, 1, memory=tmp_path / "none") as work:
        (work.path / "file").write_text("x")
        assert not work.in_memory
        assert work.path.parent == tmp_path
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not MEMORY.is_mount(), reason="this machine has no /dev/shm")
def test_what_fits_easily_is_in_memory(tmp_path: Path) -> None:
    with work_folder(tmp_path, 1) as work:
        assert work.in_memory
        assert work.path.parent == MEMORY
    assert not work.path.exists()


def test_what_does_not_fit_is_on_disk(tmp_path: Path) -> None:
    with work_folder(tmp_path, 2**60) as work:
        assert not work.in_memory


def test_an_ordinary_folder_does_not_count_as_memory(tmp_path: Path) -> None:
    assert not has_room(tmp_path, 1)
    assert not has_room(tmp_path / "missing", 1)


def test_what_a_killed_run_left_goes_and_what_a_living_one_uses_stays(tmp_path: Path) -> None:
    killed, living = tmp_path / f"{PREFIX}killed", tmp_path / f"{PREFIX}living"
    killed.mkdir()
    living.mkdir()
    handle = os.open(living, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        sweep(tmp_path)
        assert not killed.exists()
        assert living.exists()
    finally:
        os.close(handle)


def test_a_link_of_that_name_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("x")
    (tmp_path / f"{PREFIX}link").symlink_to(tmp_path / "precious")
    sweep(tmp_path)
    assert (tmp_path / "precious" / "file").exists()


def test_free_memory_is_what_the_kernel_can_give(tmp_path: Path) -> None:
    assert free_memory(*machine(tmp_path)) == 8_000_000 * 1024


def test_a_containers_limit_counts(tmp_path: Path) -> None:
    proc, cgroup = machine(tmp_path, memory_max="1000000\n", memory_current="400000\n")
    assert free_memory(proc, cgroup) == 600_000


def test_a_control_group_without_a_limit_does_not_count(tmp_path: Path) -> None:
    proc, cgroup = machine(tmp_path, memory_max="max\n", memory_current="400000\n")
    assert free_memory(proc, cgroup) == 8_000_000 * 1024


def test_a_machine_that_does_not_tell_has_no_memory_to_spare(tmp_path: Path) -> None:
    assert free_memory(tmp_path, tmp_path) == 0


@pytest.mark.parametrize(
    ("environ", "kept"),
    [({}, True), ({"CI": "true"}, False), ({"CI": "true", "UV_CACHE_DIR": "/cache"}, True)],
)
def test_uv_keeps_its_cache_unless_the_machine_is_thrown_away(
    environ: dict[str, str], kept: bool, tmp_path: Path
) -> None:
    changed = uv_cache(environ, WorkFolder(tmp_path, in_memory=True))
    assert changed == ({} if kept else {"UV_CACHE_DIR": str(tmp_path / "uv")})
