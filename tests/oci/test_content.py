from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import pytest

from ml_containerize.names import Digest, Repository
from ml_containerize.oci.blobs import CorruptBlob, MissingBlob
from ml_containerize.oci.content import Content, Source
from ml_containerize.oci.descriptor import Descriptor
from ml_containerize.oci.layout import Layout

BLOB = Descriptor.of(b"content", "text/plain")
ORIGIN = Repository("example.org", "base")


@dataclass
class Memory:
    """A source in a registry's place."""

    content: bytes
    repository: Repository | None = ORIGIN
    opened: list[Digest] = field(default_factory=list)

    def open(self, descriptor: Descriptor) -> BinaryIO:
        self.opened.append(descriptor.digest)
        return io.BytesIO(self.content)


def content_of(path: Path, source: Source | None = None) -> Content:
    return Content(Layout.create(path / "layout"), {BLOB.digest: source} if source else {})


def test_a_blob_is_read_from_the_layout_where_it_is_there(tmp_path: Path) -> None:
    source = Memory(b"content")
    content = content_of(tmp_path, source)
    content.layout.write(b"content", "text/plain")
    with content.open(BLOB) as stream:
        assert stream.read() == b"content"
    assert not source.opened


def test_a_blob_is_streamed_from_its_source_where_the_layout_lacks_it(tmp_path: Path) -> None:
    content = content_of(tmp_path, Memory(b"content"))
    assert not content.has(BLOB.digest)
    with content.open(BLOB) as stream:
        assert stream.read() == b"content"
    assert not content.has(BLOB.digest)


def test_a_blob_that_is_nowhere_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingBlob, match=str(BLOB.digest)):
        content_of(tmp_path).open(BLOB)


def test_a_blob_is_pulled_once_and_counted(tmp_path: Path) -> None:
    source, counts = Memory(b"content"), list[int]()
    content = content_of(tmp_path, source)
    for _ in range(2):
        content.pull(BLOB, counts.append)
    assert content.layout.read(BLOB) == b"content"
    assert len(source.opened) == 1
    assert counts == [7, 7]  # received, then found to be still as it should be


def test_a_blob_that_was_corrupted_in_the_layout_is_pulled_again(tmp_path: Path) -> None:
    content = content_of(tmp_path, Memory(b"content"))
    content.layout.blob_path(BLOB.digest).write_bytes(b"contend")
    content.pull(BLOB)
    content.layout.verify(BLOB)


def test_a_corrupt_blob_without_a_source_is_an_error(tmp_path: Path) -> None:
    content = content_of(tmp_path)
    content.layout.blob_path(BLOB.digest).write_bytes(b"contend")
    with pytest.raises(CorruptBlob):
        content.pull(BLOB)


def test_a_blob_that_is_nowhere_cannot_be_pulled(tmp_path: Path) -> None:
    with pytest.raises(MissingBlob):
        content_of(tmp_path).pull(BLOB)


@pytest.mark.parametrize("answer", [b"contend", b"cont", b"content and more", b""])
def test_a_source_that_answers_something_else_is_not_believed(tmp_path: Path, answer: bytes) -> None:
    content = content_of(tmp_path, Memory(answer))
    with pytest.raises(CorruptBlob):
        content.pull(BLOB)
    assert not content.has(BLOB.digest)


def test_another_layouts_blob_is_taken_over_without_a_copy(tmp_path: Path) -> None:
    other = Layout.create(tmp_path / "other")
    other.write(b"content", "text/plain")
    content = content_of(tmp_path, other)
    content.pull(BLOB)
    assert content.layout.blob_path(BLOB.digest).samefile(other.blob_path(BLOB.digest))


def test_another_layouts_corrupt_blob_is_not_taken_over(tmp_path: Path) -> None:
    other = Layout.create(tmp_path / "other")
    other.blob_path(BLOB.digest).write_bytes(b"contend")
    content = content_of(tmp_path, other)
    with pytest.raises(CorruptBlob):
        content.pull(BLOB)
    assert not content.has(BLOB.digest)


def test_a_blob_that_the_other_layout_lost_is_missing(tmp_path: Path) -> None:
    content = content_of(tmp_path, Layout.create(tmp_path / "other"))
    with pytest.raises(MissingBlob, match=str(tmp_path / "other")):
        content.pull(BLOB)


def test_a_registry_that_holds_a_blob_is_known_for_mounts(tmp_path: Path) -> None:
    content = content_of(tmp_path).with_sources({BLOB.digest: Memory(b"content")})
    assert content.repository_of(BLOB.digest) == ORIGIN
    assert content.repository_of(Digest.of(b"other")) is None


def test_a_layout_is_no_registry_to_mount_from(tmp_path: Path) -> None:
    assert content_of(tmp_path, Layout.create(tmp_path / "other")).repository_of(BLOB.digest) is None
