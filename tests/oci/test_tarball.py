from __future__ import annotations

import tarfile

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.tars import listed

from ml_containerize.oci.tarball import (
    BLOCK,
    DIRECTORY,
    END,
    FILE,
    LAYER_MTIME,
    LINK,
    OWNER,
    BadEntryPath,
    checked,
    header,
    padding,
)

GIB = 1 << 30

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0/"), min_size=1, max_size=60)
paths = st.lists(texts, min_size=1, max_size=6).map("/".join)


def read(entry: bytes) -> tarfile.TarInfo:
    (info,) = listed(entry + END)
    return info


@given(paths)
@example("a" * 100)
@example("a" * 101)
@example("é")
@example("new\nline and space")
@example("/".join(["d" * 155, "n" * 100]))
@example("/".join(["d" * 156, "n" * 100]))
@example("/".join(["d" * 155, "n" * 101]))
@example("x" * 300)
def test_any_path_is_read_as_it_was_written(path: str) -> None:
    assert read(header(path, LINK, mode=0o777, target="x")).name == path


@given(paths)
def test_any_folders_path_is_read_as_it_was_written(path: str) -> None:
    entry = header(f"{path}/", DIRECTORY, mode=0o755)
    info = read(entry)
    assert (info.name, info.isdir()) == (path, True)
    assert len(entry) % BLOCK == 0


@given(paths)
@example("/" + "t" * 100)
def test_any_links_target_is_read_as_it_was_written(target: str) -> None:
    info = read(header("link", LINK, mode=0o777, target=target))
    assert (info.linkname, info.issym()) == (target, True)


def test_every_other_field_is_fixed() -> None:
    info = read(header("a", FILE, mode=0o644))
    assert (info.uid, info.gid, info.uname, info.gname) == (OWNER, OWNER, "", "")
    assert (info.mtime, info.mode, info.size) == (LAYER_MTIME, 0o644, 0)


@pytest.mark.parametrize("path", ["model.keras", "a/b", "a" * 100])
def test_a_plain_header_is_the_one_that_the_standard_library_writes(path: str) -> None:
    info = tarfile.TarInfo(path)
    info.size, info.mode, info.mtime, info.uid, info.gid = 12345, 0o755, LAYER_MTIME, OWNER, OWNER
    assert header(path, FILE, mode=0o755, size=12345) == info.tobuf(tarfile.PAX_FORMAT)


@pytest.mark.parametrize("size", [0, 1, 8 * GIB - 1, 8 * GIB, 100 * GIB])
def test_sizes_of_8_gib_and_more_go_into_an_extended_header(size: int) -> None:
    entry = header("weights", FILE, mode=0o644, size=size)
    assert len(entry) == (BLOCK if size < 8 * GIB else 3 * BLOCK)
    record = entry[BLOCK:].split(b"\n")[0] if size >= 8 * GIB else b""
    assert record.endswith(b"size=%d" % size if record else b"")


def test_short_paths_take_one_block() -> None:
    assert len(header("/".join(["d" * 100, "n" * 100]), FILE, mode=0o644)) == BLOCK
    assert len(header("/".join(["d" * 60, "n" * 60]) + "/", DIRECTORY, mode=0o755)) == BLOCK


@pytest.mark.parametrize(("size", "zeros"), [(0, 0), (1, 511), (511, 1), (512, 0), (513, 511)])
def test_content_is_filled_up_to_whole_blocks(size: int, zeros: int) -> None:
    assert padding(size) == bytes(zeros)


@pytest.mark.parametrize("path", ["a\0b", "caf\udce9"])
def test_a_path_that_tar_cannot_hold_is_refused(path: str) -> None:
    with pytest.raises(BadEntryPath, match="cannot be a path in an image"):
        header(path, FILE, mode=0o644)


@pytest.mark.parametrize(
    "path", ["", "/a", "a/", "a//b", "./a", "a/../b", "..", ".wh.a", "a/.wh..wh..opq", "a/.wh.b/c"]
)
def test_a_path_that_is_not_plain_or_means_a_deletion_is_refused(path: str) -> None:
    with pytest.raises(BadEntryPath):
        checked(path)


@pytest.mark.parametrize("path", ["a", ".a", "...", "a b/c\nd", "wh.a", "a.wh."])
def test_a_plain_path_stays_as_it_is(path: str) -> None:
    assert checked(path) == path
