"""Where an image's blobs are: here in a layout, or still at the source that they can be streamed from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import BinaryIO, Protocol

from ml_containerize.console import Advance
from ml_containerize.names import Digest, Repository
from ml_containerize.oci.blobs import CorruptBlob, MissingBlob, copy
from ml_containerize.oci.descriptor import Descriptor
from ml_containerize.oci.layout import Layout


class Source(Protocol):
    """Something that blobs can be read from: a registry's client, or another layout."""

    @property
    def repository(self) -> Repository | None:
        """Where a registry could mount the blob from; None for a source that is no registry."""

    def open(self, descriptor: Descriptor) -> BinaryIO:
        """The blob as a stream; raises MissingBlob, or the source's own errors."""


@dataclass(frozen=True, slots=True)
class Content:
    """A layout, and the sources of the blobs that it lacks."""

    layout: Layout
    sources: Mapping[Digest, Source] = field(default_factory=dict)

    def has(self, digest: Digest) -> bool:
        """True where the blob is in the layout."""
        return self.layout.has(digest)

    def open(self, descriptor: Descriptor) -> BinaryIO:
        """The blob as a stream, from the layout or else from its source; raises MissingBlob."""
        return self._holder(descriptor.digest).open(descriptor)

    def pull(self, descriptor: Descriptor, advance: Advance = lambda _: None) -> None:
        """Bring a blob into the layout, verified also where it is there: a corrupt one is replaced.

        Raises MissingBlob, CorruptBlob, DiskFull and the source's own errors.
        """
        source = self.sources.get(descriptor.digest)
        try:
            self.layout.verify(descriptor, advance)
        except (MissingBlob, CorruptBlob):
            if source is None:
                raise
            self._fetch(descriptor, source, advance)

    def _fetch(self, descriptor: Descriptor, source: Source, advance: Advance) -> None:
        if isinstance(source, Layout):
            self.layout.adopt(source.blob_path(descriptor.digest), descriptor, advance)
            return
        with source.open(descriptor) as stream, self.layout.writer(descriptor) as blob:
            copy(stream, blob.write, advance)
            blob.commit(descriptor.media_type)

    def repository_of(self, digest: Digest) -> Repository | None:
        """The repository that already holds the blob, for a cross-repository mount."""
        source = self.sources.get(digest)
        return source.repository if source else None

    def with_sources(self, sources: Mapping[Digest, Source]) -> Content:
        """The same layout, with more places to find blobs."""
        return replace(self, sources={**self.sources, **sources})

    def _holder(self, digest: Digest) -> Source:
        if self.has(digest):
            return self.layout
        try:
            return self.sources[digest]
        except KeyError:
            raise MissingBlob(digest, self.layout.path) from None
