"""An image's layers as folders for an overlay: each unpacked once, verified, and kept under its digest."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, BinaryIO, cast

from ml_containerize.console import Advance, Console
from ml_containerize.errors import BuildError
from ml_containerize.names import Digest
from ml_containerize.oci import media
from ml_containerize.oci.decompress import open_layer
from ml_containerize.oci.image import Image
from ml_containerize.oci.layers import Layer
from ml_containerize.oci.unpack import unpack

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_ROOM = 3000  # bytes of folder names in one mount's options, of a page of 4096 (mount(2))
_PREFIX = len("/oldroot:")  # what bubblewrap puts before each folder
_UNUSED_SECONDS = 30 * 86400
_ABANDONED_SECONDS = 86400


class WrongLayer(BuildError):
    """A layer's content is not what the image's configuration says."""

    def __init__(self, layer: Layer, found: Digest) -> None:
        super().__init__(
            f"layer {layer.descriptor.digest} unpacks to {found}, but the image says {layer.diff_id}",
            "Build or pull the image again; if it comes back, the image is broken: do not use it.",
        )


@dataclass(frozen=True, slots=True)
class RootFolders:
    """Unpacked layers in `cache`: `layers/<diff id>`, or `chains/<chain id>` for several merged into one.

    An overlay of folders cannot express a layer's deletions without root's rights. So a layer that deletes
    something is merged with all below it; the layers above stay apart and are shared between images.
    """

    cache: Path
    console: Console
    now: Callable[[], float] = time.time

    def of(self, image: Image) -> tuple[Path, ...]:
        """The image's folders, lowest first; raises what reading and unpacking its layers raise."""
        self.cache.mkdir(parents=True, exist_ok=True)
        self._forget_unused()
        total = sum(layer.descriptor.size for layer in image.layers)
        with self.console.progress("unpacking", total) as advance:
            return tuple(self._folders(image, advance))

    def has(self, image: Image) -> bool:
        """Were all layers of the image unpacked before, each in a folder of its own?"""
        return all(self._layer_folder(layer).exists() for layer in image.layers)

    def _folders(self, image: Image, advance: Advance) -> list[Path]:
        """From the top down, until a layer deletes something or the mount's options are full."""
        above: list[Path] = []
        room = _ROOM
        for count in range(len(image.layers), 0, -1):
            layer = image.layers[count - 1]
            room -= len(str(self._layer_folder(layer))) + _PREFIX
            if room < 0 or not self._unpack_alone(image, layer, advance):
                return [self._merge(image, count, advance), *above]
            above.insert(0, self._layer_folder(layer))
        return above

    def _layer_folder(self, layer: Layer) -> Path:
        return self.cache / "layers" / layer.diff_id.hex

    def _unpack_alone(self, image: Image, layer: Layer, advance: Advance) -> bool:
        """Unpack one layer; False where it deletes something and so cannot stand alone."""
        folder = self._layer_folder(layer)
        deletes = folder.with_suffix(".deletes")
        if deletes.exists() or folder.exists():
            used = folder if folder.exists() else deletes
            os.utime(used)
            return used is folder
        with self._unfinished() as partial:
            if _unpack_layer(image, layer, partial, advance):
                deletes.parent.mkdir(exist_ok=True)
                deletes.touch()
                return False
            _put(partial, folder)
        return True

    def _merge(self, image: Image, count: int, advance: Advance) -> Path:
        """The lowest `count` layers, applied one after the other to one folder."""
        layers = image.layers[:count]
        folder = self.cache / "chains" / chain_id([layer.diff_id for layer in layers]).hex
        if folder.exists():
            os.utime(folder)
            return folder
        with self._unfinished() as partial:
            for layer in layers:
                _unpack_layer(image, layer, partial, advance)
            _put(partial, folder)
        return folder

    @contextmanager
    def _unfinished(self) -> Iterator[Path]:
        """A new folder that is gone afterwards unless it was put into its place."""
        partial = self.cache / f"unfinished-{token_hex(8)}"
        partial.mkdir()
        partial.chmod(0o755)
        try:
            yield partial
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _forget_unused(self) -> None:
        """Delete what no run used for a month, and what killed runs left."""
        kept = (*self.cache.glob("layers/*"), *self.cache.glob("chains/*"))
        for path, limit in (
            *((path, _UNUSED_SECONDS) for path in kept),
            *((path, _ABANDONED_SECONDS) for path in self.cache.glob("unfinished-*")),
        ):
            with suppress(FileNotFoundError):
                if self.now() - path.stat().st_mtime > limit:
                    shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()


def chain_id(diff_ids: Sequence[Digest]) -> Digest:
    """The identity of layers applied in order (OCI "Image Configuration", "Layer ChainID")."""
    chain = diff_ids[0]
    for diff_id in diff_ids[1:]:
        chain = Digest.of(f"{chain} {diff_id}".encode())
    return chain


def _put(partial: Path, folder: Path) -> None:
    """Rename into place; where another run was faster, its folder holds the same."""
    folder.parent.mkdir(exist_ok=True)
    os.utime(partial)
    try:
        partial.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise


def _unpack_layer(image: Image, layer: Layer, folder: Path, advance: Advance) -> bool:
    """Apply one layer to a folder; True where it deletes something from the layers below."""
    with image.content.open(layer.descriptor) as blob:
        told = cast("BinaryIO", _Watched(blob, lambda chunk: advance(len(chunk))))
        content = hashlib.sha256()
        plain = _Watched(open_layer(told, layer.descriptor.media_type), content.update)
        done = unpack(cast("BinaryIO", io.BufferedReader(plain, 1 << 20)), media.LAYER_TAR, folder)
    found = Digest(content.hexdigest())
    if found != layer.diff_id:
        raise WrongLayer(layer, found)
    return bool(done.whiteouts or done.opaque)


class _Watched(io.RawIOBase):
    """A stream that shows each chunk to somebody on its way."""

    def __init__(self, stream: BinaryIO | io.BufferedReader, seen: Callable[[memoryview], object]) -> None:
        self._stream = stream
        self._seen = seen

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        count: int = self._stream.readinto(view)  # type: ignore[union-attr]  # every binary stream has it
        self._seen(view[:count])
        return count
