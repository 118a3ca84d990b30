"""OCI image layouts: a folder that holds an image, every blob under its own digest."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

from ml_containerize.console import Advance
from ml_containerize.errors import BuildError
from ml_containerize.names import Digest, Platform
from ml_containerize.oci import media
from ml_containerize.oci.blobs import BlobWriter, CorruptBlob, MissingBlob, copy, room, verify
from ml_containerize.oci.descriptor import Descriptor
from ml_containerize.oci.document import canonical, parse_object
from ml_containerize.oci.manifest import Index

REF_NAME = "org.opencontainers.image.ref.name"
ENVIRONMENT = "io.ml-containerize.environment"  # marks an image's environment, listed after the image itself
_VERSION = {"imageLayoutVersion": "1.0.0"}


class NotALayout(BuildError):
    """A folder is not an OCI image layout."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"{path} is not an OCI image layout: {why}",
            "Name a folder that holds `oci-layout` and `index.json`, such as this command's output `layout`.",
        )


class NotWritable(BuildError):
    """A layout cannot be made in a folder."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path} cannot be written: {why}", "Choose another output folder.")


class NoImage(BuildError):
    """A layout holds no image yet, or several without a platform to choose by."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A layout folder (OCI image specification, "Image Layout"); a source of blobs like a registry."""

    path: Path

    @classmethod
    def create(cls, path: Path) -> Layout:
        """Make the folder, or take up one that is there; raises NotWritable and DiskFull.

        What a killed run left unfinished is cleared away.
        """
        layout = cls(path)
        try:
            layout._blobs.mkdir(parents=True, exist_ok=True)
            layout._sweep()
            if not (path / "index.json").exists():
                layout._replace("index.json", Index(()).as_bytes())
            layout._replace("oci-layout", canonical(_VERSION))
        except OSError as error:
            raise NotWritable(path, error.strerror or str(error)) from error
        return layout

    @classmethod
    def at(cls, path: Path) -> Layout:
        """Take up an existing layout; raises NotALayout."""
        try:
            version = parse_object((path / "oci-layout").read_bytes(), f"{path / 'oci-layout'}")
        except OSError as error:
            raise NotALayout(path, error.strerror or str(error)) from error
        if version != _VERSION:
            raise NotALayout(path, f"its version is {version}")
        return cls(path)

    @property
    def repository(self) -> None:
        """A layout is in no registry (see `Source`)."""
        return None

    def blob_path(self, digest: Digest) -> Path:
        return self._blobs / digest.hex

    def has(self, digest: Digest) -> bool:
        return self.blob_path(digest).is_file()

    def write(
        self, content: bytes, media_type: str, annotations: Mapping[str, str] | None = None
    ) -> Descriptor:
        """Store content that is at hand."""
        with self.writer() as blob:
            blob.write(content)
            return blob.commit(media_type, annotations)

    @contextmanager
    def writer(self, wanted: Descriptor | None = None) -> Iterator[BlobWriter]:
        """Store content as it comes, only as `wanted` where that is known; uncommitted, nothing is left."""
        with self._unfinished() as partial, partial.open("xb") as file:
            blob = BlobWriter(file, lambda digest: self._place(partial, digest), self.path, wanted)
            try:
                yield blob
            finally:
                blob.close()

    def adopt(self, source: Path, descriptor: Descriptor, advance: Advance = lambda _: None) -> None:
        """Take in a file after checking its digest, by a hard link if possible.

        Raises MissingBlob, CorruptBlob and DiskFull.
        """
        try:
            file = source.open("rb", buffering=0)
        except FileNotFoundError as error:
            raise MissingBlob(descriptor.digest, source) from error
        with file:
            verify(file, descriptor, source, advance)
        with self._unfinished() as partial:
            try:
                partial.hardlink_to(source.resolve())
            except OSError:  # another file system, or one without hard links
                return self._copy(source, descriptor)
            self._place(partial, descriptor.digest)
        return None

    def read(self, descriptor: Descriptor) -> bytes:
        """The whole content, verified; raises MissingBlob or CorruptBlob."""
        with self.open(descriptor) as file:
            content = file.read()
        found = Digest.of(content)
        if (found, len(content)) != (descriptor.digest, descriptor.size):
            raise CorruptBlob(self.blob_path(descriptor.digest), descriptor, found, len(content))
        return content

    def open(self, descriptor: Descriptor) -> BinaryIO:
        """The content as a seekable stream, not verified (see `Layout.verify`); raises MissingBlob."""
        try:
            return self.blob_path(descriptor.digest).open("rb", buffering=0)
        except FileNotFoundError as error:
            raise MissingBlob(descriptor.digest, self.path) from error

    def verify(self, descriptor: Descriptor, advance: Advance = lambda _: None) -> None:
        """Read a blob against its digest; raises MissingBlob or CorruptBlob."""
        with self.open(descriptor) as file:
            verify(file, descriptor, self.blob_path(descriptor.digest), advance)

    def set_image(self, descriptor: Descriptor, name: str, environment: Descriptor | None = None) -> None:
        """Make this the layout's one image, under a name such as `digits:latest`.

        An `environment` is listed after it, so that it can be published for others to build upon.
        """
        named = replace(descriptor, annotations={**descriptor.annotations, REF_NAME: name})
        self._replace("index.json", Index((named, environment) if environment else (named,)).as_bytes())

    def environment(self) -> Descriptor | None:
        """The manifest of the image's environment, its key under the annotation `ENVIRONMENT`."""
        listed = self._index().manifests
        return next((manifest for manifest in listed if ENVIRONMENT in manifest.annotations), None)

    def prune(self, kept: Collection[Digest]) -> None:
        """Delete all blobs but these."""
        names = {digest.hex for digest in kept}
        for blob in self._blobs.iterdir():
            if blob.name not in names:
                blob.unlink()

    def image(self, platform: Platform | None = None) -> Descriptor:
        """The layout's image, for the platform where it has several.

        Raises NotALayout, NoImage, PlatformNotFound, MalformedContent, MissingBlob and CorruptBlob.
        """
        listed = self._index().manifests
        index = Index(tuple(manifest for manifest in listed if ENVIRONMENT not in manifest.annotations))
        while True:
            chosen = self._choose(index, platform)
            if chosen.media_type not in media.INDEXES:
                return chosen
            index = Index.parse(self.read(chosen))

    def _index(self) -> Index:
        try:
            return Index.parse((self.path / "index.json").read_bytes())
        except OSError as error:
            raise NotALayout(self.path, f"index.json: {error.strerror}") from error

    def _choose(self, index: Index, platform: Platform | None) -> Descriptor:
        if len(index.manifests) == 1:
            return index.manifests[0]
        if platform and index.manifests:
            return index.select(platform)
        raise NoImage(
            f"{self.path} holds {len(index.manifests)} images, not one",
            "Build it first." if not index.manifests else "Say which platform is meant.",
        )

    @property
    def _blobs(self) -> Path:
        return self.path / "blobs" / "sha256"

    @property
    def _partial(self) -> Path:
        return self.path / ".partial"

    @contextmanager
    def _unfinished(self) -> Iterator[Path]:
        """A path for a file in the making, gone afterwards unless it was moved away."""
        self._partial.mkdir(parents=True, exist_ok=True)
        with _lock(self._partial, fcntl.LOCK_SH):
            partial = self._partial / token_hex(8)
            try:
                yield partial
            finally:
                partial.unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Delete what a killed run left, unless another run is writing here right now."""
        self._partial.mkdir(exist_ok=True)
        with suppress(BlockingIOError), _lock(self._partial, fcntl.LOCK_EX | fcntl.LOCK_NB):
            for leftover in self._partial.iterdir():
                leftover.unlink()

    def _place(self, partial: Path, digest: Digest) -> None:
        partial.replace(self.blob_path(digest))

    def _copy(self, source: Path, descriptor: Descriptor) -> None:
        with source.open("rb", buffering=0) as file, self.writer(descriptor) as blob:
            copy(file, blob.write, lambda _: None)
            blob.commit(descriptor.media_type)

    def _replace(self, name: str, content: bytes) -> None:
        with self._unfinished() as partial, room(self.path, len(content)):
            partial.write_bytes(content)
            partial.replace(self.path / name)


@contextmanager
def _lock(folder: Path, kind: int) -> Iterator[None]:
    """Hold an advisory lock on a folder; it ends with the process, however that ends."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, kind)
        yield
    finally:
        os.close(handle)
