from __future__ import annotations

import hashlib
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest
import zstandard
from support.limits import largest_file, open_folder, user
from support.tars import listed

from ml_containerize.names import Digest
from ml_containerize.oci import media
from ml_containerize.oci.blobs import CHUNK, DiskFull
from ml_containerize.oci.decompress import open_layer
from ml_containerize.oci.entries import UnreadableFile
from ml_containerize.oci.layers import ZSTD_LEVEL, Entry, Layer, file_frame, folder_entries, write_layer
from ml_containerize.oci.layout import Layout
from ml_containerize.oci.packing import FileChanged, RepeatedEntry
from ml_containerize.oci.tarball import BadEntryPath

Compression = Literal["none", "zstd"]
BOTH = pytest.mark.parametrize("compression", ["none", "zstd"])
AWKWARD = [
    "with space",
    "new\nline",
    "naïve/日本語.txt",
    "-dash",
    "long/" + "n" * 200,
    "a" * 101 + "/b",
    "é" * 60,
]


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.create(tmp_path / "layout")


@pytest.fixture
def shared() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder


def packed(layout: Layout, *entries: Entry, compression: Compression = "none") -> Layer:
    return write_layer(layout, entries, compression=compression, created_by="a test")


def plain(layout: Layout, layer: Layer) -> bytes:
    with layout.open(layer.descriptor) as stream, open_layer(stream, layer.descriptor.media_type) as archive:
        return archive.read()


def blobs(layout: Layout) -> list[Path]:
    return [path for path in layout.path.rglob("*") if path.is_file() and path.parent != layout.path]


def noise(size: int, seed: int = 0) -> bytes:
    """Random bytes that come again after 700 kB, within reach of zstd's window."""
    piece = random.Random(seed).randbytes(min(size, 700_000))
    return (piece * (size // max(len(piece), 1) + 1))[:size]


@contextmanager
def zone(name: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", name)
        time.tzset()
        yield
    time.tzset()


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def test_an_uncompressed_layers_diff_id_is_its_digest(layout: Layout) -> None:
    layer = packed(layout, Entry.bytes("a", b"1"))
    assert layer.diff_id == layer.descriptor.digest
    assert layer.descriptor.media_type == media.LAYER_TAR
    layout.verify(layer.descriptor)


def test_a_compressed_layers_diff_id_is_the_digest_of_the_plain_tar(layout: Layout) -> None:
    layer = packed(layout, Entry.bytes("a", noise(3 * CHUNK)), compression="zstd")
    assert layer.descriptor.media_type == media.LAYER_ZSTD
    assert layer.diff_id == Digest.of(plain(layout, layer))
    assert layer.diff_id == packed(layout, Entry.bytes("a", noise(3 * CHUNK))).diff_id
    layout.verify(layer.descriptor)


def test_a_layer_says_what_made_it(layout: Layout) -> None:
    layer = write_layer(
        layout,
        [],
        compression="none",
        created_by="packages",
        annotations={"io.ml-containerize.layer": "packages"},
    )
    assert layer.created_by == "packages"
    assert layer.descriptor.annotations == {"io.ml-containerize.layer": "packages"}


def test_every_kind_of_entry_is_read_again(layout: Layout, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"from disk")
    layer = packed(
        layout,
        Entry.file("opt/tool", tmp_path / "source", executable=True),
        Entry.link("opt/link", "tool"),
        Entry.directory("opt"),
        Entry.bytes("opt/note", b"at hand"),
    )
    members = listed(plain(layout, layer))
    assert [(m.name, m.isdir(), m.linkname, oct(m.mode), m.size) for m in members] == [
        ("opt", True, "", "0o755", 0),
        ("opt/link", False, "tool", "0o777", 0),
        ("opt/note", False, "", "0o644", 7),
        ("opt/tool", False, "", "0o755", 9),
    ]


@BOTH
def test_awkward_names_are_packed_whole_and_in_order(
    layout: Layout, tmp_path: Path, compression: Compression
) -> None:
    for name in AWKWARD:
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_text(name)
    layer = packed(layout, *folder_entries(tmp_path / "in", "opt"), compression=compression)
    names = [member.name for member in listed(plain(layout, layer))]
    assert names == sorted(names)
    assert set(names) >= {f"opt/{name}" for name in AWKWARD}


@BOTH
def test_the_same_files_give_the_same_layer_on_any_machine(shared: Path, compression: Compression) -> None:
    """Another folder, umask, time zone, user, order of creation, and times of the files."""
    contents = {name: noise(2048, seed) for seed, name in enumerate([*AWKWARD, "large"])}
    digests = set()
    machines = [("one", 0o022, "UTC", 0), ("other place", 0o077, "Asia/Kathmandu", 65534)]
    for folder, mask, place, uid in machines:
        with zone(place), umask(mask), user(uid):
            layout = Layout.create(shared / folder / "layout")
            for name, content in contents.items():
                path = shared / folder / "in" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            digests.add(
                packed(layout, *folder_entries(shared / folder / "in", "opt"), compression=compression)
            )
        contents = dict(reversed(contents.items()))
    assert len(digests) == 1


def test_the_order_of_entries_does_not_matter(layout: Layout) -> None:
    entries = [Entry.directory(path) for path in ("a/b", "é", "a-b", "b", "a", "a.b")]
    layer = packed(layout, *entries)
    assert layer == packed(layout, *reversed(entries))
    names = [member.name for member in listed(plain(layout, layer))]
    assert names == ["a", "a-b", "a.b", "a/b", "b", "é"]


@pytest.mark.parametrize("size", [0, 1, 511, 512, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_the_frame_around_a_file_gives_the_digest_of_its_own_layer(
    layout: Layout, tmp_path: Path, size: int
) -> None:
    (tmp_path / "weights").write_bytes(noise(size))
    layer = packed(layout, Entry.file("opt/ml/model/naïve weights", tmp_path / "weights"))
    before, after = file_frame("opt/ml/model/naïve weights", size)
    whole = before + (tmp_path / "weights").read_bytes() + after
    assert whole == plain(layout, layer)
    assert layer.descriptor.size == len(whole)


def test_the_progress_counts_the_files_bytes(layout: Layout, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(2 * CHUNK + 5))
    (tmp_path / "small").write_bytes(bytes(7))
    counts = list[int]()
    write_layer(
        layout,
        [Entry.file("l", tmp_path / "large"), Entry.file("s", tmp_path / "small"), Entry.bytes("b", b"123")],
        compression="none",
        created_by="",
        advance=counts.append,
    )
    assert sum(counts) == 2 * CHUNK + 5 + 7 + 3


def test_zstd_output_depends_neither_on_the_number_of_workers_nor_on_chunks(layout: Layout) -> None:
    """24 MiB, so that several of zstd's jobs (8 MiB each) run side by side."""
    archive = plain(layout, packed(layout, Entry.bytes("a", noise(24 * CHUNK))))
    layer = packed(layout, Entry.bytes("a", noise(24 * CHUNK)), compression="zstd")
    for threads, chunk in [(1, 65_537), (2, CHUNK), (3, len(archive)), (8, 100_000)]:
        packer = zstandard.ZstdCompressor(level=ZSTD_LEVEL, threads=threads).compressobj()
        digest = hashlib.sha256()
        for start in range(0, len(archive), chunk):
            digest.update(packer.compress(archive[start : start + chunk]))
        digest.update(packer.flush())
        assert digest.hexdigest() == layer.descriptor.digest.hex


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def shrink(path: Path) -> None:
    os.truncate(path, CHUNK + 1)


def rewrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"other")
    os.utime(path, (1, 1))


@BOTH
@pytest.mark.parametrize("change", [grow, shrink, rewrite])
def test_a_file_that_changes_while_it_is_packed_is_noticed(
    layout: Layout, tmp_path: Path, change: Callable[[Path], None], compression: Compression
) -> None:
    source = tmp_path / "weights"
    source.write_bytes(bytes(3 * CHUNK))
    with pytest.raises(FileChanged, match="weights changed while it was being packed"):
        write_layer(
            layout,
            [Entry.file("weights", source)],
            compression=compression,
            created_by="",
            advance=lambda _: change(source),
        )
    assert not blobs(layout)


@BOTH
def test_a_full_disk_leaves_nothing_behind_and_says_what_the_layer_needs(
    tmp_path: Path, layout: Layout, compression: Compression
) -> None:
    (tmp_path / "weights").write_bytes(random.Random(0).randbytes(3 * CHUNK))
    with largest_file(CHUNK), pytest.raises(DiskFull, match=r"layout: 3\.0 MiB are needed"):
        packed(layout, Entry.file("weights", tmp_path / "weights"), compression=compression)
    assert not blobs(layout)


def test_a_file_that_is_not_there_is_unreadable(layout: Layout, tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="No such file"):
        packed(layout, Entry.file("a", tmp_path / "missing"))
    assert not blobs(layout)


def test_a_file_without_permission_is_unreadable(shared: Path) -> None:
    (shared / "secret").write_text("x")
    (shared / "secret").chmod(0)
    with user(65534), pytest.raises(UnreadableFile, match="Permission denied"):
        packed(Layout.create(shared / "own"), Entry.file("a", shared / "secret"))


def test_a_pipe_is_refused_and_not_waited_for(layout: Layout, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnreadableFile, match="not a regular file"):
        packed(layout, Entry.file("a", tmp_path / "pipe"))


def test_a_folder_is_no_file(layout: Layout, tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="not a regular file"):
        packed(layout, Entry.file("a", tmp_path))


def test_two_entries_may_not_have_one_path(layout: Layout) -> None:
    with pytest.raises(RepeatedEntry, match="/opt/a"):
        packed(layout, Entry.bytes("opt/a", b"1"), Entry.link("opt/a", "b"))


@pytest.mark.parametrize("path", ["/etc/passwd", "../a", "a/../b", ".wh.a", "bad\udcff"])
def test_a_path_that_does_not_belong_in_a_layer_is_refused(layout: Layout, path: str) -> None:
    with pytest.raises(BadEntryPath):
        packed(layout, Entry.bytes(path, b""))
    assert not blobs(layout)
