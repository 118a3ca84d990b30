from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from support.limits import largest_file

from ml_containerize.names import Digest, Platform
from ml_containerize.oci import media
from ml_containerize.oci.blobs import CorruptBlob, DiskFull, MissingBlob
from ml_containerize.oci.descriptor import Descriptor
from ml_containerize.oci.document import MalformedContent
from ml_containerize.oci.layout import ENVIRONMENT, Layout, NoImage, NotALayout, NotWritable
from ml_containerize.oci.manifest import Index, PlatformNotFound

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")
BLOB = Descriptor.of(b"content", "text/plain")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.create(tmp_path / "layout")


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_new_layout_follows_the_specification(layout: Layout) -> None:
    assert json.loads((layout.path / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    assert json.loads((layout.path / "index.json").read_text())["manifests"] == []
    assert (layout.path / "blobs" / "sha256").is_dir()


def test_a_blob_lies_under_its_digest_and_is_read_again(layout: Layout) -> None:
    made = layout.write(b"content", "text/plain", {"a": "b"})
    assert made == Descriptor("text/plain", Digest.of(b"content"), 7, {"a": "b"})
    assert layout.blob_path(made.digest) == layout.path / "blobs" / "sha256" / made.digest.hex
    assert layout.has(made.digest)
    assert layout.read(made) == b"content"
    with layout.open(made) as stream:
        stream.seek(3)
        assert stream.read() == b"tent"


def test_taking_up_a_layout_again_keeps_what_is_in_it(layout: Layout) -> None:
    layout.set_image(layout.write(b"content", media.MANIFEST), "digits")
    before = files(layout.path)
    assert Layout.create(layout.path).image().digest == BLOB.digest
    assert files(layout.path) == before


def test_nothing_is_left_of_a_blob_that_was_not_committed(layout: Layout) -> None:
    before = files(layout.path)
    with layout.writer() as blob:
        blob.write(b"never committed")
    with suppress(KeyboardInterrupt), layout.writer() as blob:
        blob.write(b"half")
        raise KeyboardInterrupt
    assert files(layout.path) == before


def test_nothing_is_left_when_the_disk_is_full(layout: Layout) -> None:
    before = files(layout.path)
    with largest_file(1000), pytest.raises(DiskFull, match=f"No space left in {layout.path}"):
        layout.write(bytes(1001), "text/plain")
    assert files(layout.path) == before


def test_a_layout_cannot_be_made_where_the_disk_is_full(tmp_path: Path) -> None:
    with largest_file(5), pytest.raises(DiskFull):
        Layout.create(tmp_path / "layout")


def test_what_a_killed_run_left_is_cleared_away(layout: Layout) -> None:
    (layout.path / ".partial" / "0123").write_bytes(b"half")
    Layout.create(layout.path)
    assert not files(layout.path / ".partial")


def test_what_another_run_is_writing_right_now_is_left_alone(layout: Layout) -> None:
    with layout.writer() as blob:
        blob.write(b"content")
        Layout.create(layout.path)
        blob.commit("text/plain")
    assert layout.read(BLOB) == b"content"


def test_a_blob_that_was_corrupted_is_noticed_when_it_is_read(layout: Layout) -> None:
    layout.write(b"content", "text/plain")
    layout.blob_path(BLOB.digest).write_bytes(b"contend")
    with pytest.raises(CorruptBlob):
        layout.read(BLOB)
    with pytest.raises(CorruptBlob):
        layout.verify(BLOB)


def test_writing_a_corrupted_blob_again_heals_it(layout: Layout) -> None:
    layout.blob_path(BLOB.digest).write_bytes(b"broken")
    layout.write(b"content", "text/plain")
    layout.verify(BLOB)


def test_a_blob_that_is_not_there_is_missing(layout: Layout) -> None:
    assert not layout.has(BLOB.digest)
    with pytest.raises(MissingBlob, match=str(BLOB.digest)):
        layout.open(BLOB)


def test_only_the_wanted_content_can_be_committed(layout: Layout) -> None:
    with layout.writer(BLOB) as blob:
        blob.write(b"contend")
        with pytest.raises(CorruptBlob):
            blob.commit("text/plain")
    with layout.writer(BLOB) as blob, pytest.raises(CorruptBlob):
        blob.write(b"content and more")
    assert not layout.has(BLOB.digest)


def test_a_file_is_adopted_without_a_copy(layout: Layout, tmp_path: Path) -> None:
    source = tmp_path / "cached"
    source.write_bytes(b"content")
    layout.adopt(source, BLOB)
    layout.adopt(source, BLOB)
    assert layout.blob_path(BLOB.digest).samefile(source)
    assert not files(layout.path / ".partial")


def test_a_file_on_another_file_system_is_copied(layout: Layout) -> None:
    elsewhere = Path("/dev/shm") / f"blob-{os.getpid()}"
    elsewhere.write_bytes(b"content")
    try:
        layout.adopt(elsewhere, BLOB)
    finally:
        elsewhere.unlink()
    assert layout.read(BLOB) == b"content"


def test_a_file_that_is_not_what_it_is_said_to_be_is_not_adopted(layout: Layout, tmp_path: Path) -> None:
    source = tmp_path / "cached"
    source.write_bytes(b"contend")
    with pytest.raises(CorruptBlob, match=str(source)):
        layout.adopt(source, BLOB)
    assert not layout.has(BLOB.digest)


def test_the_layouts_image_has_a_name(layout: Layout) -> None:
    layout.set_image(BLOB, "digits:latest")
    assert layout.image().digest == BLOB.digest
    assert layout.image().annotations == {"org.opencontainers.image.ref.name": "digits:latest"}


def test_an_image_set_again_replaces_the_one_before(layout: Layout) -> None:
    other = Descriptor.of(b"other", media.MANIFEST)
    layout.set_image(BLOB, "digits")
    layout.set_image(other, "digits")
    assert layout.image().digest == other.digest


def test_the_image_is_found_through_an_index_in_the_index(layout: Layout) -> None:
    images = [
        Descriptor(media.MANIFEST, Digest.of(b"%d" % n), 1, {}, p) for n, p in enumerate((AMD64, ARM64))
    ]
    inner = layout.write(Index(tuple(images)).as_bytes(), media.INDEX)
    layout.set_image(inner, "digits")
    assert layout.image(ARM64) == images[1]
    with pytest.raises(PlatformNotFound):
        layout.image(Platform("linux", "s390x"))
    with pytest.raises(NoImage, match="2 images"):
        layout.image()


def test_the_environment_lies_beside_the_image_and_is_not_it(layout: Layout) -> None:
    environment = replace(BLOB, annotations={ENVIRONMENT: "key"})
    layout.set_image(BLOB, "digits", environment)
    assert layout.environment() == environment
    assert layout.image().annotations == {"org.opencontainers.image.ref.name": "digits"}


def test_pruning_leaves_only_what_is_to_be_kept(layout: Layout) -> None:
    layout.write(b"content", "text/plain")
    layout.write(b"other", "text/plain")
    layout.prune([BLOB.digest])
    assert files(layout.path / "blobs") == {f"sha256/{BLOB.digest.hex}"}


def test_an_empty_layout_has_no_image(layout: Layout) -> None:
    with pytest.raises(NoImage, match="holds 0 images"):
        layout.image()


def test_an_existing_layout_is_opened(layout: Layout) -> None:
    assert Layout.at(layout.path) == layout


def test_a_folder_that_is_no_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotALayout, match="No such file"):
        Layout.at(tmp_path)
    (tmp_path / "oci-layout").write_text('{"imageLayoutVersion": "9"}')
    with pytest.raises(NotALayout, match="version"):
        Layout.at(tmp_path)
    (tmp_path / "oci-layout").write_text("{")
    with pytest.raises(MalformedContent):
        Layout.at(tmp_path)


def test_a_layout_that_lost_its_index_is_refused(layout: Layout) -> None:
    (layout.path / "index.json").unlink()
    with pytest.raises(NotALayout, match=r"index\.json"):
        layout.image()


def test_a_file_in_the_layouts_place_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotWritable, match="file"):
        Layout.create(tmp_path / "file")
