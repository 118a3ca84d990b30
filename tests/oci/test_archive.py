from __future__ import annotations

import gzip
import io
import tarfile
from contextlib import suppress
from typing import BinaryIO, cast

import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st
from support.tars import device, file, folder, hardlink, symlink, tar

from ml_containerize.oci import media
from ml_containerize.oci.archive import TarEntry, TarReader, list_entries
from ml_containerize.oci.blobs import CHUNK, VerifiedStream
from ml_containerize.oci.decompress import CorruptLayer
from ml_containerize.oci.descriptor import Descriptor

FORMATS = pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
MEMBERS = [
    folder("usr/bin", 0o755),
    file("usr/bin/python3.12", b"PROGRAM", 0o755),
    symlink("usr/bin/python3", "python3.12"),
    hardlink("usr/bin/python", "usr/bin/python3.12"),
    device("dev/null"),
    file("usr/large", bytes(CHUNK * 2 + 1)),
    file("tmp/" + "n" * 90, b"x" * 512),
]
names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=150)


def entries(archive: bytes) -> list[TarEntry]:
    return list(list_entries(io.BytesIO(archive), media.LAYER_TAR))


class Unseekable(io.BytesIO):
    def seekable(self) -> bool:
        return False


@FORMATS
def test_each_kind_of_entry_is_listed_as_its_header_has_it(form: int) -> None:
    time = 1_000_000_000
    assert entries(tar(MEMBERS, form)) == [
        TarEntry("usr/bin/", "directory", "", 0o755, 0, time),
        TarEntry("usr/bin/python3.12", "file", "", 0o755, 7, time),
        TarEntry("usr/bin/python3", "symlink", "python3.12", 0o777, 0, time),
        TarEntry("usr/bin/python", "hardlink", "usr/bin/python3.12", 0o644, 0, time),
        TarEntry("dev/null", "special", "", 0o666, 0, time),
        TarEntry("usr/large", "file", "", 0o644, CHUNK * 2 + 1, time),
        TarEntry("tmp/" + "n" * 90, "file", "", 0o644, 512, time),
    ]


@given(name=names, target=names)
@example(name="é" * 80, target="/" + "t" * 200)
@example(name="a" * 101, target="new\nline = 3")
@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_and_foreign_names_are_read_whole(form: int, name: str, target: str) -> None:
    (entry,) = entries(tar([symlink(name, target)], form))
    assert (entry.name, entry.target) == (name, target)


def test_a_long_name_in_ustars_two_fields_is_put_together() -> None:
    name = "/".join(["d" * 90, "e" * 60, "n" * 90])
    (entry,) = entries(tar([file(name)], tarfile.USTAR_FORMAT))
    assert entry.name == name


def test_a_name_that_is_not_utf_8_survives() -> None:
    (entry,) = entries(tar([file("caf\udce9")], tarfile.GNU_FORMAT))
    assert entry.name == "caf\udce9"


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_sizes_of_8_gib_and_more_are_read_in_both_spellings(form: int) -> None:
    info = tarfile.TarInfo("weights")
    info.size = 9 << 30
    reader = iter(TarReader(io.BufferedReader(io.BytesIO(info.tobuf(form)))))  # type: ignore[arg-type]
    assert next(reader).size == 9 << 30


def test_an_extended_header_is_about_the_next_entry_only() -> None:
    first, second = entries(tar([file("é" * 80), file("plain")]))
    assert (first.name, second.name) == ("é" * 80, "plain")


def test_a_global_header_changes_nothing() -> None:
    header = tarfile.TarInfo.create_pax_global_header({"comment": "0" * 40, "path": "elsewhere"})
    assert [entry.name for entry in entries(header + tar([file("a")]))] == ["a"]


@pytest.mark.parametrize("size", [0, 512, 10_240])
def test_an_archive_may_end_in_any_number_of_zeros(size: int) -> None:
    assert len(entries(tar(MEMBERS, end=False) + bytes(size))) == len(MEMBERS)


def test_an_empty_layer_has_no_entries() -> None:
    assert entries(tar([])) == []


@pytest.mark.parametrize(
    ("media_type", "blob"),
    [
        (media.LAYER_GZIP, gzip.compress(tar(MEMBERS), mtime=0)),
        (media.DOCKER_LAYER_GZIP, gzip.compress(tar(MEMBERS), mtime=0)),
        (media.LAYER_ZSTD, zstandard.compress(tar(MEMBERS))),
    ],
)
def test_compressed_layers_are_listed_like_plain_ones(media_type: str, blob: bytes) -> None:
    assert list(list_entries(io.BytesIO(blob), media_type)) == entries(tar(MEMBERS))


def test_content_is_skipped_where_one_cannot_seek() -> None:
    assert list(list_entries(Unseekable(tar(MEMBERS)), media.LAYER_TAR)) == entries(tar(MEMBERS))


def test_a_stream_is_read_to_its_end_where_its_digest_is_checked() -> None:
    blob = tar(MEMBERS) + bytes(CHUNK)
    ended = list[bool]()

    class Watched(Unseekable):
        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
            count = super().readinto(buffer)
            ended.append(not count)
            return count

    stream = VerifiedStream(Watched(blob), Descriptor.of(blob, media.LAYER_TAR), "the test")
    list(list_entries(cast("BinaryIO", stream), media.LAYER_TAR))
    assert ended[-1]


@pytest.mark.parametrize("stream", [io.BytesIO, Unseekable])
@pytest.mark.parametrize("cut", [100, 512 + 100, 7 * 512 + CHUNK, 7 * 512 + CHUNK * 2])
def test_an_archive_that_ends_too_early_is_corrupt(stream: type[io.BytesIO], cut: int) -> None:
    with pytest.raises(CorruptLayer, match="ends in the middle"):
        list(list_entries(stream(tar(MEMBERS)[:cut]), media.LAYER_TAR))


def test_a_header_with_a_wrong_checksum_is_corrupt() -> None:
    archive = bytearray(tar(MEMBERS))
    archive[3] ^= 1
    with pytest.raises(CorruptLayer, match="checksum"):
        entries(bytes(archive))


@given(st.binary(min_size=512, max_size=4096))
def test_anything_else_is_corrupt_and_never_another_failure(noise: bytes) -> None:
    with pytest.raises(CorruptLayer):
        entries(b"x" + noise)


@given(st.integers(0, 511), st.binary(min_size=1, max_size=12))
def test_a_header_with_any_field_changed_is_read_or_corrupt(place: int, patch: bytes) -> None:
    archive = bytearray(tar([file("a", b"content")]))
    archive[place : min(place + len(patch), 512)] = patch[: 512 - place]
    archive[148:156] = b"%06o\0 " % (sum(archive[:148]) + sum(archive[156:512]) + 8 * 0x20)
    with suppress(CorruptLayer):
        entries(bytes(archive))


@given(st.binary(max_size=600))
def test_any_extended_header_is_read_or_corrupt(records: bytes) -> None:
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, len(records)
    archive = header.tobuf(tarfile.USTAR_FORMAT) + records + bytes(-len(records) % 512) + tar([file("a")])
    with suppress(CorruptLayer):
        entries(archive)


def test_an_extended_header_that_fills_the_memory_is_refused() -> None:
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 1 << 30
    with pytest.raises(CorruptLayer, match="larger than 1 MiB"):
        entries(header.tobuf(tarfile.USTAR_FORMAT))


def test_sparse_files_are_refused_for_their_size_is_not_bounded_by_the_archives() -> None:
    info, content = file("sparse", b"x")
    info.pax_headers = {"GNU.sparse.realsize": str(1 << 50)}
    with pytest.raises(CorruptLayer, match="sparse"):
        entries(tar([(info, content)]))
    info.pax_headers, info.type = {}, tarfile.GNUTYPE_SPARSE
    with pytest.raises(CorruptLayer, match="sparse"):
        entries(tar([(info, content)]))
