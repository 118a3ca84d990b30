"""The bytes of a blob as a request's body."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from ml_containerize.console import Advance
from ml_containerize.errors import PushError
from ml_containerize.names import Digest
from ml_containerize.oci.descriptor import Descriptor

_SKIP = 1 << 20  # bytes


class BlobUnreadable(PushError):
    """The local blob ended early, or could not be read at all."""

    def __init__(self, digest: Digest, why: str) -> None:
        super().__init__(f"{digest} cannot be read: {why}", "Delete the output folder and build again.")


class BlobBody:
    """A blob from `offset` to its end: as many bytes as its descriptor promises, or BlobUnreadable."""

    def __init__(
        self, descriptor: Descriptor, open_: Callable[[], BinaryIO], offset: int, advance: Advance
    ) -> None:
        self._descriptor = descriptor
        self._left = descriptor.size - offset
        self._advance = advance
        with self._readable():
            self._source = _open_at(open_, offset)

    def read(self, size: int = -1, /) -> bytes:
        wanted = min(size, self._left) if size >= 0 else self._left
        with self._readable():
            chunk = self._source.read(wanted) if wanted else b""
        if wanted and not chunk:
            raise BlobUnreadable(self._descriptor.digest, f"it ends {self._left} bytes early")
        self._left -= len(chunk)
        if not self._left:
            self._source.close()
        self._advance(len(chunk))
        return chunk

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """A disk's error must not be taken for the network's."""
        try:
            yield
        except OSError as error:
            raise BlobUnreadable(self._descriptor.digest, error.strerror or str(error)) from error


def _open_at(open_: Callable[[], BinaryIO], offset: int) -> BinaryIO:
    source = open_()
    if source.seekable():
        source.seek(offset)
        return source
    while offset and (skipped := len(source.read(min(offset, _SKIP)))):
        offset -= skipped
    return source
