"""Deterministic layers: the same files give the same bytes on any machine.

Entries are sorted, owned by one fixed user, have one of two modes, and carry one fixed time, so that a layer
changes only with its files' names, content and executable bits. When an image was made is told by its
configuration's `created`, never by its layers.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from ml_containerize.console import Advance
from ml_containerize.names import Digest
from ml_containerize.oci import media, tarball
from ml_containerize.oci.blobs import BlobWriter, DiskFull
from ml_containerize.oci.descriptor import Descriptor
from ml_containerize.oci.entries import Entry as Entry
from ml_containerize.oci.entries import folder_entries as folder_entries
from ml_containerize.oci.layout import Layout
from ml_containerize.oci.packing import write_tar
from ml_containerize.oci.tarball import LAYER_MTIME as LAYER_MTIME
from ml_containerize.oci.tarball import OWNER as OWNER

ZSTD_LEVEL = 3
ZSTD_THREADS = min(4, os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer as manifests (`descriptor`) and configurations (`diff_id`, `created_by`) speak of it."""

    descriptor: Descriptor
    diff_id: Digest
    created_by: str


def write_layer(
    layout: Layout,
    entries: Iterable[Entry],
    *,
    compression: Literal["none", "zstd"],
    created_by: str,
    annotations: Mapping[str, str] | None = None,
    advance: Advance = lambda _: None,
) -> Layer:
    """Pack entries into one blob of the layout; `advance` counts the files' bytes.

    Raises FileChanged, UnreadableFile, BadEntryPath, RepeatedEntry and DiskFull; none leaves anything behind.
    """
    ordered = sorted(entries, key=lambda entry: entry.path)
    with _room_for(ordered, layout), layout.writer() as blob:
        if compression == "none":
            write_tar(ordered, blob.write, advance)
            made = blob.commit(media.LAYER_TAR, annotations)
            return Layer(made, made.digest, created_by)
        diff_id = _write_zstd(ordered, blob, advance)
        return Layer(blob.commit(media.LAYER_ZSTD, annotations), diff_id, created_by)


def file_frame(path: str, size: int) -> tuple[bytes, bytes]:
    """The bytes before and after one regular file's content in an uncompressed layer of its own.

    Who hashes a file of `size` bytes between the two knows that layer's digest without writing it.
    """
    before = tarball.header(tarball.checked(path), tarball.FILE, mode=0o644, size=size)
    return before, tarball.padding(size) + tarball.END


@contextmanager
def _room_for(entries: Sequence[Entry], layout: Layout) -> Iterator[None]:
    """Say of a full disk what the whole layer takes, compression aside."""
    try:
        yield
    except DiskFull as error:
        needed = sum(os.stat(entry.source).st_size for entry in entries if entry.source is not None)  # noqa: PTH116
        raise DiskFull(layout.path, needed) from error


def _write_zstd(entries: Iterable[Entry], blob: BlobWriter, advance: Advance) -> Digest:
    import zstandard

    # With one worker or more, zstd cuts a stream into jobs of a fixed size: the output depends neither on the
    # number of workers nor on the chunks that it is fed (https://github.com/facebook/zstd/issues/2238).
    packer = zstandard.ZstdCompressor(level=ZSTD_LEVEL, threads=ZSTD_THREADS).compressobj()
    plain = hashlib.sha256()

    def write(chunk: bytes | memoryview) -> None:
        plain.update(chunk)
        blob.write(packer.compress(chunk))

    write_tar(entries, write, advance)
    blob.write(packer.flush())
    return Digest(plain.hexdigest())
