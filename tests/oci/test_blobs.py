from __future__ import annotations

import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from ml_containerize.names import Digest
from ml_containerize.oci.blobs import CHUNK, BlobWriter, CorruptBlob, DiskFull, VerifiedStream, copy, verify
from ml_containerize.oci.descriptor import Descriptor

CONTENT = random.Random(1).randbytes(3 * CHUNK + 17)
WANTED = Descriptor.of(CONTENT, "application/octet-stream")

FULL = Path("/dev/full")  # every write fails for want of space

Broken = Callable[[bytes], bytes]


def verified(content: bytes) -> BinaryIO:
    return cast("BinaryIO", VerifiedStream(io.BytesIO(content), WANTED, "the test"))


def test_a_stream_is_handed_on_whole_in_chunks_that_are_counted() -> None:
    out, counts = io.BytesIO(), list[int]()
    copy(io.BytesIO(CONTENT), out.write, counts.append)
    assert out.getvalue() == CONTENT
    assert sum(counts) == len(CONTENT)
    assert max(counts) == CHUNK


def test_a_verified_stream_hands_on_what_it_was_promised() -> None:
    assert verified(CONTENT).read() == CONTENT
    verify(io.BytesIO(CONTENT), WANTED, "here", lambda _: None)


@pytest.mark.parametrize(
    "broken",
    [
        lambda content: content[:-1],
        lambda content: content + b"x",
        lambda content: b"x" + content[1:],
        lambda _: b"",
    ],
    ids=["shorter", "longer", "other", "empty"],
)
def test_a_stream_that_is_not_what_was_wanted_is_corrupt(broken: Broken) -> None:
    with pytest.raises(CorruptBlob, match="the test should hold"):
        verified(broken(CONTENT)).read()


def test_a_stream_that_never_ends_is_refused_as_soon_as_it_is_too_long() -> None:
    with Path("/dev/zero").open("rb") as endless, pytest.raises(CorruptBlob):
        verify(endless, WANTED, "the test", lambda _: None)


def test_a_disk_that_is_full_is_named_with_what_is_needed_and_what_is_free() -> None:
    full = BlobWriter(FULL.open("wb"), lambda _: None, FULL.parent, WANTED)
    with pytest.raises(DiskFull, match=r"No space left in /dev: 3\.0 MiB are needed, .* are free"):
        full.write(CONTENT)


def test_a_disk_that_is_full_is_noticed_at_the_end_where_the_last_bytes_waited_in_a_buffer() -> None:
    full = BlobWriter(FULL.open("wb"), lambda _: None, FULL.parent)
    full.write(b"few")
    with pytest.raises(DiskFull):
        full.commit("text/plain")


def test_other_failures_of_the_disk_are_not_called_a_full_one(tmp_path: Path) -> None:
    reading = tmp_path / "file"
    reading.touch()
    with reading.open("rb") as file, pytest.raises(OSError, match="write"):
        BlobWriter(file, lambda _: None, tmp_path).write(CONTENT)


def test_a_blob_is_put_in_place_under_the_digest_of_what_was_written(tmp_path: Path) -> None:
    placed = list[Digest]()
    writer = BlobWriter((tmp_path / "file").open("wb"), placed.append, tmp_path)
    writer.write(CONTENT[:5])
    writer.write(memoryview(CONTENT)[5:])
    assert writer.commit(WANTED.media_type, {"a": "b"}).digest == WANTED.digest
    assert placed == [WANTED.digest]
