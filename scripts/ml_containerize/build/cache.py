"""Environments that were built on this machine, found by their keys in the user's cache folder.

Blobs lie under their digests as in a layout, hard links of those that a build wrote. Whoever takes one from
here reads it against its digest first; an environment that is not whole any more counts as not there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ml_containerize.build.image import own_layers
from ml_containerize.names import Digest, EnvironmentKey
from ml_containerize.oci.blobs import CorruptBlob, MissingBlob
from ml_containerize.oci.content import Source
from ml_containerize.oci.descriptor import Descriptor
from ml_containerize.oci.document import MalformedContent, canonical, parse_object
from ml_containerize.oci.image import FoundImage
from ml_containerize.oci.layout import Layout
from ml_containerize.oci.manifest import Manifest

_UNUSED_SECONDS = 30 * 86400


@dataclass(frozen=True, slots=True)
class EnvironmentCache:
    """A layout's blobs, and in `keys/` the descriptor of each environment's manifest."""

    folder: Path
    now: Callable[[], float] = time.time

    @property
    def layout(self) -> Layout:
        return Layout(self.folder)

    def find(self, key: EnvironmentKey, base: Source) -> FoundImage | None:
        """The environment, with its base's layers at `base`; None where it is not here, or not whole."""
        try:
            found = self._read(self._key_file(key), base)
        except (FileNotFoundError, MissingBlob):
            return None
        except (MalformedContent, CorruptBlob):
            self._key_file(key).unlink(missing_ok=True)
            return None
        own = own_layers(found)
        if not all(self.layout.has(layer.digest) for layer in own):
            return None
        os.utime(self._key_file(key), (self.now(), self.now()))
        return replace(found, sources={**found.sources, **{layer.digest: self.layout for layer in own}})

    def keep(self, key: EnvironmentKey, environment: FoundImage, built: Layout) -> None:
        """Take in an environment from the layout that it was built in."""
        layout = Layout.create(self.folder)
        self._forget_unused()
        for layer in own_layers(environment):
            layout.adopt(built.blob_path(layer.digest), layer)
        layout.write(environment.config_body, environment.manifest.config.media_type)
        layout.write(environment.manifest_body, environment.descriptor.media_type)
        self._key_file(key).parent.mkdir(exist_ok=True)
        partial = self._key_file(key).with_suffix(f".{os.getpid()}")
        partial.write_bytes(canonical(environment.descriptor.as_json()))
        partial.replace(self._key_file(key))

    def drop(self, layer: Descriptor) -> None:
        """Delete a broken blob."""
        self.layout.blob_path(layer.digest).unlink(missing_ok=True)

    def _key_file(self, key: EnvironmentKey) -> Path:
        return self.folder / "keys" / key.hex

    def _read(self, key_file: Path, base: Source) -> FoundImage:
        descriptor = Descriptor.parse(parse_object(key_file.read_bytes(), f"cache entry {key_file}"))
        body = self.layout.read(descriptor)
        config = self.layout.read(Manifest.parse(body).config)
        return FoundImage.of(f"env-{key_file.name}", (descriptor, body), config, base)

    def _forget_unused(self) -> None:
        """Delete what no build has used for a month."""
        needed: set[Digest] = set()
        for key_file in self.folder.glob("keys/*"):
            if self.now() - key_file.stat().st_mtime > _UNUSED_SECONDS:
                key_file.unlink(missing_ok=True)
            else:
                needed |= self._needed_by(key_file)
        self.layout.prune(needed)

    def _needed_by(self, key_file: Path) -> set[Digest]:
        try:
            found = self._read(key_file, self.layout)
        except (FileNotFoundError, MissingBlob, MalformedContent, CorruptBlob):
            return set()
        return {found.digest, *found.sources}
