from __future__ import annotations

import gzip
import io
import random
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_containerize.oci import media
from ml_containerize.oci.blobs import CHUNK
from ml_containerize.oci.decompress import CorruptLayer, UnknownLayer, open_layer

PLAIN = random.Random(1).randbytes(CHUNK + 3) + bytes(2 * CHUNK)
Pack = Callable[[bytes], bytes]
PACKED: list[tuple[str, Pack]] = [
    (media.LAYER_TAR, bytes),
    (media.LAYER_GZIP, gzip.compress),
    (media.DOCKER_LAYER_GZIP, gzip.compress),
    (media.LAYER_ZSTD, zstandard.compress),
]
COMPRESSED = pytest.mark.parametrize(("media_type", "pack"), [PACKED[1], PACKED[3]])


def opened(blob: bytes, media_type: str) -> bytes:
    with open_layer(io.BytesIO(blob), media_type) as archive:
        return archive.read()


@pytest.mark.parametrize(("media_type", "pack"), PACKED)
def test_a_layer_is_read_as_the_plain_archive(media_type: str, pack: Pack) -> None:
    assert opened(pack(PLAIN), media_type) == PLAIN


@COMPRESSED
def test_a_stream_of_several_parts_is_read_to_its_end(media_type: str, pack: Pack) -> None:
    assert opened(pack(b"one") + pack(b"") + pack(PLAIN), media_type) == b"one" + PLAIN


@COMPRESSED
@settings(max_examples=20)
@given(sizes=st.lists(st.integers(1, 100_000), max_size=5))
def test_it_does_not_matter_in_which_pieces_it_is_read(media_type: str, pack: Pack, sizes: list[int]) -> None:
    with open_layer(io.BytesIO(pack(PLAIN)), media_type) as archive:
        assert b"".join([*(archive.read(size) for size in sizes), archive.read()]) == PLAIN


@COMPRESSED
def test_a_stream_that_is_something_else_is_corrupt(media_type: str, pack: Pack) -> None:
    with pytest.raises(CorruptLayer):
        opened(b"something else" * 100, media_type)
    with pytest.raises(CorruptLayer):
        opened(pack(b"one") + b"something else" * 100, media_type)


def test_a_gzip_stream_that_ends_too_early_is_corrupt() -> None:
    packed = gzip.compress(PLAIN)
    for cut in (5, len(packed) // 2, len(packed) - 8, len(packed) - 1):
        with pytest.raises(CorruptLayer, match="ends too early"):
            opened(packed[:cut], media.LAYER_GZIP)


def test_a_gzip_stream_with_a_wrong_checksum_is_corrupt() -> None:
    packed = bytearray(gzip.compress(PLAIN))
    packed[-5] ^= 1
    with pytest.raises(CorruptLayer):
        opened(bytes(packed), media.LAYER_GZIP)


def test_a_layer_of_an_unknown_type_is_refused() -> None:
    with pytest.raises(UnknownLayer, match="application/x-chart"):
        open_layer(io.BytesIO(), "application/x-chart")
