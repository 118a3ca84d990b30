from __future__ import annotations

import gzip
import io
import os
import shutil
import stat
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from support.limits import largest_file, open_folder, user
from support.tars import device, file, folder, hardlink, symlink, tar

from ml_containerize.oci import media
from ml_containerize.oci.blobs import DiskFull
from ml_containerize.oci.decompress import CorruptLayer
from ml_containerize.oci.layers import Entry, write_layer
from ml_containerize.oci.layout import Layout
from ml_containerize.oci.rooted import HostilePath
from ml_containerize.oci.unpack import Unpacked, unpack

Member = tuple[tarfile.TarInfo, bytes]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where layers go, with something beside it that they must never reach."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("untouched")
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture(autouse=True)
def _nothing_outside_is_touched(root: Path) -> Iterator[None]:
    yield
    assert tree(root.parent / "outside") == {"secret": "untouched"}
    assert set(root.parent.iterdir()) <= {root, root.parent / "outside", root.parent / "layout"}


def apply(root: Path, *members: Member) -> Unpacked:
    return unpack(io.BytesIO(tar(members)), media.LAYER_TAR, root)


def tree(top: Path) -> dict[str, str]:
    """Every path with what is there: a link's target, a file's text, "/" for a folder."""
    found = {}
    for path in top.rglob("*"):
        is_file = "" if path.is_symlink() or path.is_dir() else path.read_text()
        found[str(path.relative_to(top))] = (
            f"-> {path.readlink()}" if path.is_symlink() else "/" if path.is_dir() else is_file
        )
    return found


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_files_folders_and_links_are_made(root: Path) -> None:
    done = apply(
        root,
        folder("usr"),
        file("usr/python3.12", b"PROGRAM"),
        symlink("usr/python3", "python3.12"),
        symlink("bin", "/usr"),
        hardlink("usr/python", "usr/python3.12"),
    )
    assert tree(root) == {
        "usr": "/",
        "usr/python3.12": "PROGRAM",
        "usr/python3": "-> python3.12",
        "usr/python": "PROGRAM",
        "bin": "-> /usr",
    }
    assert (root / "usr" / "python").samefile(root / "usr" / "python3.12")
    assert done == Unpacked(files=1, size=7, whiteouts=(), opaque=(), skipped=())


def test_what_we_pack_is_what_is_unpacked(root: Path, tmp_path: Path) -> None:
    layout = Layout.create(tmp_path / "layout")
    entries = [
        Entry.directory("opt"),
        Entry.bytes("opt/with space\nand line", b"1"),
        Entry.bytes("opt/" + "é" * 100, b"2", executable=True),
        Entry.link("opt/link", "../x"),
    ]
    layer = write_layer(layout, entries, compression="zstd", created_by="")
    with layout.open(layer.descriptor) as stream:
        unpack(stream, layer.descriptor.media_type, root)
    assert tree(root) == {
        "opt": "/",
        "opt/with space\nand line": "1",
        "opt/" + "é" * 100: "2",
        "opt/link": "-> ../x",
    }
    assert mode(root / "opt" / ("é" * 100)) == 0o755


@pytest.mark.parametrize(
    ("media_type", "pack"), [(media.LAYER_GZIP, gzip.compress), (media.LAYER_ZSTD, zstandard.compress)]
)
def test_compressed_layers_are_unpacked(root: Path, media_type: str, pack: type[bytes]) -> None:
    unpack(io.BytesIO(pack(tar([file("a", b"1")]))), media_type, root)
    assert tree(root) == {"a": "1"}


def test_parents_without_an_entry_are_made_whatever_the_umask(root: Path) -> None:
    before = os.umask(0o077)
    try:
        apply(root, file("opt/ml/model", mode=0o644), folder("srv", 0o755))
    finally:
        os.umask(before)
    assert [mode(root / path) for path in ("opt", "opt/ml", "opt/ml/model", "srv")] == [
        0o755,
        0o755,
        0o644,
        0o755,
    ]


def test_modes_are_kept_but_for_set_user_id_bits(root: Path) -> None:
    apply(root, file("su", mode=0o4755), file("sg", mode=0o2711), folder("tmp", 0o1777), folder("g", 0o2775))
    assert [mode(root / path) for path in ("su", "sg", "tmp", "g")] == [0o755, 0o711, 0o1777, 0o775]


def test_owners_can_read_and_delete_everything(root: Path) -> None:
    apply(root, folder("closed", 0o000), file("closed/a", b"1", 0o000))
    assert (mode(root / "closed"), mode(root / "closed" / "a")) == (0o700, 0o400)


def test_files_keep_their_time_for_bytecode_is_checked_against_it(root: Path) -> None:
    apply(root, file("a.py"))
    assert (root / "a.py").stat().st_mtime == 1_000_000_000


def test_devices_and_pipes_are_skipped(root: Path) -> None:
    done = apply(
        root, device("dev/null"), device("dev/sda", tarfile.BLKTYPE), device("pipe", tarfile.FIFOTYPE)
    )
    assert done.skipped == ("dev/null", "dev/sda", "pipe")
    assert tree(root) == {"dev": "/"}


def test_a_later_layer_replaces_what_is_there(root: Path) -> None:
    apply(root, file("a", b"old"), symlink("b", "a"), folder("c"), file("c/x"), folder("d"), file("d/kept"))
    apply(root, file("a", b"new"), file("b", b"file now"), symlink("c", "a"), folder("d", 0o711))
    assert tree(root) == {"a": "new", "b": "file now", "c": "-> a", "d": "/", "d/kept": ""}
    assert mode(root / "d") == 0o711


def test_a_folder_takes_the_place_of_a_link(root: Path) -> None:
    apply(root, symlink("lib", "usr/lib"), folder("usr/lib"))
    apply(root, folder("lib"), file("lib/a"))
    assert tree(root) == {"usr": "/", "usr/lib": "/", "lib": "/", "lib/a": ""}


def test_replacing_one_hard_link_leaves_the_other(root: Path) -> None:
    apply(root, file("a", b"old"), hardlink("b", "a"))
    apply(root, file("b", b"new"))
    assert tree(root) == {"a": "old", "b": "new"}


def test_a_whiteout_deletes_what_the_layers_below_put_there(root: Path) -> None:
    apply(root, file("etc/a"), folder("etc/d"), file("etc/d/x"), file("etc/kept"))
    done = apply(root, file("etc/.wh.a"), file("etc/.wh.d"), file("etc/.wh.missing"))
    assert tree(root) == {"etc": "/", "etc/kept": ""}
    assert done.whiteouts == ("etc/a", "etc/d", "etc/missing")
    assert done.files == 0


@pytest.mark.parametrize("order", [1, -1])
def test_a_whiteout_does_not_delete_what_its_own_layer_puts_there(root: Path, order: int) -> None:
    apply(root, file("d/lower"))
    apply(root, *[file(".wh.d"), file("d/upper", b"new")][::order])
    assert tree(root) == {"d": "/", "d/upper": "new"}


@pytest.mark.parametrize("order", [1, -1])
def test_an_opaque_folder_hides_what_is_below_it_and_keeps_its_own(root: Path, order: int) -> None:
    apply(root, file("d/lower"), file("d/sub/lower"), file("other"))
    done = apply(root, *[file("d/.wh..wh..opq"), file("d/sub/upper"), file("d/upper")][::order])
    assert tree(root) == {"d": "/", "d/sub": "/", "d/sub/upper": "", "d/upper": "", "other": ""}
    assert done.opaque == ("d",)


def test_an_opaque_root_hides_everything_below(root: Path) -> None:
    apply(root, file("a"), file("b/c"))
    assert apply(root, file("new"), file(".wh..wh..opq")).opaque == ("",)
    assert tree(root) == {"new": ""}


def test_a_whiteout_deletes_a_link_and_not_what_it_points_to(root: Path) -> None:
    (root / "link").symlink_to(root.parent / "outside")
    apply(root, file(".wh.link"))
    assert tree(root) == {}


def test_other_marks_of_the_union_file_system_are_passed_over(root: Path) -> None:
    done = apply(root, folder(".wh..wh.plnk"), file(".wh..wh.aufs"))
    assert (tree(root), done.whiteouts) == ({}, ())


def test_an_absolute_name_starts_at_the_images_root(root: Path) -> None:
    """As container engines have it; buildpacks write such layers."""
    apply(root, file("/etc/passwd", b"inside"), hardlink("//copy", "/etc/passwd"), folder("/"))
    assert tree(root) == {"etc": "/", "etc/passwd": "inside", "copy": "inside"}


@pytest.mark.parametrize("target", ["/usr/lib", "usr/lib", "./usr/./lib/", "sub/../usr/lib"])
def test_a_link_in_the_way_is_followed_inside_the_root(root: Path, target: str) -> None:
    apply(root, folder("usr/lib"), folder("sub"), symlink("lib", target))
    apply(root, file("lib/x", b"1"), file("lib/.wh.y"), hardlink("z", "lib/x"))
    assert tree(root)["usr/lib/x"] == "1"
    assert tree(root)["lib"].startswith("->")
    assert (root / "z").samefile(root / "usr" / "lib" / "x")


def test_an_absolute_link_to_the_outside_leads_to_the_same_path_inside(root: Path) -> None:
    outside = root.parent / "outside"
    apply(root, symlink("way", str(outside)), file("way/secret", b"overwritten"))
    assert tree(root)[f"{str(outside)[1:]}/secret"] == "overwritten"


@pytest.mark.parametrize(
    "members",
    [
        [file("../outside/secret", b"x")],
        [file("a/../../outside/secret", b"x")],
        [file("a/..", b"x")],
        [file("/../outside/secret", b"x")],
        [folder("..")],
        [symlink("../outside/new", "x")],
        [hardlink("copy", "../outside/secret")],
        [hardlink("copy", "/../outside/secret")],
        [file("../outside/.wh.secret")],
        [file("a/.wh...")],
        [file("a/.wh..")],
        [file("a/.wh.")],
        [symlink("way", "../outside"), file("way/secret", b"x")],
        [symlink("way", "../outside"), file("way/.wh.secret")],
        [symlink("way", "../outside"), file("way/.wh..wh..opq")],
        [symlink("way", "../outside"), hardlink("copy", "way/secret")],
        [symlink("way", "../outside"), symlink("way/new", "x")],
        [symlink("way", "../outside"), folder("way/new")],
        [symlink("a", ".."), symlink("b", "a/outside"), file("b/secret", b"x")],
        [folder("d"), symlink("d/up", "../.."), file("d/up/outside/secret", b"x")],
        [symlink("x", "x/../.."), file("x/outside/secret", b"x")],
        [symlink("a", "b"), symlink("b", "a"), file("a/x", b"x")],
    ],
    ids=lambda members: " ".join(f"{m.name}->{m.linkname}" if m.linkname else m.name for m, _ in members),
)
def test_a_way_out_is_refused(root: Path, members: list[Member]) -> None:
    with pytest.raises(HostilePath):
        apply(root, *members)


def test_a_link_in_a_files_place_is_replaced_and_not_written_through(root: Path) -> None:
    (root / "link").symlink_to(root.parent / "outside" / "secret")
    apply(root, file("link", b"overwritten"))
    assert tree(root) == {"link": "overwritten"}


def test_a_hard_link_to_a_symbolic_link_is_to_the_link_itself(root: Path) -> None:
    apply(root, symlink("way", str(root.parent / "outside" / "secret")), hardlink("copy", "way"))
    apply(root, file("copy", b"overwritten"))
    assert tree(root)["copy"] == "overwritten"


def test_a_folder_is_not_made_through_a_link(root: Path) -> None:
    apply(root, symlink("way", str(root.parent / "outside")), folder("way", 0o700))
    assert tree(root) == {"way": "/"}
    assert mode(root.parent / "outside") != 0o700


@pytest.mark.parametrize(
    "members",
    [
        [hardlink("copy", "missing")],
        [hardlink("copy", "copy")],
        [hardlink("copy", "/")],
        [folder("d"), hardlink("copy", "d")],
        [file("file"), file("file/below")],
        [file("n" * 300)],
        [symlink("empty", "")],
    ],
    ids=lambda members: members[-1][0].name[:20],
)
def test_what_no_file_system_can_hold_is_corrupt(root: Path, members: list[Member]) -> None:
    with pytest.raises(CorruptLayer):
        apply(root, *members)


def test_a_layer_that_ends_in_the_middle_of_a_file_is_corrupt(root: Path) -> None:
    with pytest.raises(CorruptLayer, match="ends in the middle"):
        unpack(io.BytesIO(tar([file("a", bytes(5000))])[:2000]), media.LAYER_TAR, root)


def test_a_file_is_no_longer_than_its_header_says(root: Path) -> None:
    info, _ = file("a")
    info.size = 3
    apply(root, (info, b"123" + bytes(509)), file("b"))
    assert tree(root) == {"a": "123", "b": ""}


def test_times_and_sizes_beyond_all_bounds_are_no_other_failure(root: Path) -> None:
    info, content = file("a", b"1")
    info.mtime = 1 << 80
    unpack(io.BytesIO(tar([(info, content)], tarfile.GNU_FORMAT)), media.LAYER_TAR, root)
    info.size = 1 << 80
    with pytest.raises(CorruptLayer, match="beyond all bounds"):
        unpack(io.BytesIO(tar([(info, content)], tarfile.GNU_FORMAT)), media.LAYER_TAR, root)


def test_a_normal_user_can_unpack_layers_and_delete_what_came_out() -> None:
    with open_folder() as shared, user(65534):
        (shared / "root").mkdir()
        apply(shared / "root", folder("a", 0o000), file("a/b", b"1", 0o4000), device("dev/null"))
        apply(shared / "root", file("a/.wh.b"), file("a/c", b"2"), hardlink("d", "a/c"))
        assert tree(shared / "root") == {"a": "/", "a/c": "2", "d": "2", "dev": "/"}
        shutil.rmtree(shared / "root")


def test_a_full_disk_is_named(root: Path) -> None:
    with largest_file(1000), pytest.raises(DiskFull, match=str(root)):
        apply(root, file("a", bytes(5000)))


names = st.lists(
    st.sampled_from(["a", "b", "..", ".", "", ".wh.a", ".wh..wh..opq", "outside"]), max_size=4
).map("/".join)
targets = names | st.sampled_from(["..", "../outside", "/", "a/b", "../../outside/secret"])
members = st.lists(
    st.builds(file, names, st.just(b"overwritten"))
    | st.builds(folder, names)
    | st.builds(symlink, names, targets)
    | st.builds(hardlink, names, targets)
    | st.builds(device, names),
    max_size=8,
)


@settings(max_examples=300)
@given(members)
def test_no_layer_whatsoever_reaches_outside(layer: list[Member]) -> None:
    with TemporaryDirectory() as top:
        root, outside = Path(top) / "root", Path(top) / "outside"
        root.mkdir()
        outside.mkdir()
        (outside / "secret").write_text("untouched")
        before = (outside / "secret").stat()
        with suppress(HostilePath, CorruptLayer):
            apply(root, *layer)
        assert tree(outside) == {"secret": "untouched"}
        assert (outside / "secret").stat().st_nlink == 1
        assert (outside / "secret").stat().st_mode == before.st_mode
        assert set(Path(top).iterdir()) == {outside, root}
