"""What is said of an image, published beside it: an OCI artifact whose `subject` the image is.

Image specification 1.1, "Guidelines for Artifact Usage". It is found under a tag made of the image's digest,
`sha256-<hex>.<kind>`, which every registry can answer for, those without the referrers API, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import Any

from ml_containerize.names import Digest
from ml_containerize.oci import media
from ml_containerize.oci.blobs import CorruptBlob
from ml_containerize.oci.descriptor import Descriptor
from ml_containerize.oci.document import MalformedContent, canonical, expect, parse_object
from ml_containerize.oci.registry import ManifestNotFound, RegistryClient

_EMPTY = Descriptor.of(b"{}", media.EMPTY_JSON)
_LIMIT = 16 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Artifact:
    """One kind of JSON document about an image: the last part of its tag, and its media type."""

    name: str
    media_type: str

    def tag(self, image: Digest) -> str:
        return f"sha256-{image.hex}.{self.name}"

    def read(self, client: RegistryClient, image: Digest) -> bytes | None:
        """The document about an image, None where there is none that can be read."""
        try:
            _, body = client.get_manifest(self.tag(image))
            layer = self._layer(parse_object(body, self.name), image)
            with client.open_blob(layer) as stream:
                return stream.read()
        except (ManifestNotFound, MalformedContent, CorruptBlob):
            return None

    def write(self, client: RegistryClient, image: Descriptor, content: bytes) -> None:
        """Publish a document, unless this very one is there; it takes an earlier one's place."""
        manifest = self._manifest(image, Descriptor.of(content, self.media_type))
        found = client.find_manifest(self.tag(image.digest))
        if found and found.digest == Digest.of(manifest):
            return
        for blob in (b"{}", content):
            client.upload(Descriptor.of(blob, self.media_type), partial(BytesIO, blob))
        client.put_manifest(manifest, media.MANIFEST, self.tag(image.digest))

    def _manifest(self, image: Descriptor, layer: Descriptor) -> bytes:
        subject = Descriptor(image.media_type, image.digest, image.size)
        return canonical(
            {
                "schemaVersion": 2,
                "mediaType": media.MANIFEST,
                "artifactType": self.media_type,
                "config": _EMPTY.as_json(),
                "layers": [layer.as_json()],
                "subject": subject.as_json(),
            }
        )

    def _layer(self, manifest: Mapping[str, Any], image: Digest) -> Descriptor:
        """The one layer of an artifact that speaks of this image; raises MalformedContent."""
        subject = Descriptor.parse(manifest.get("subject"), f"{self.name}.subject")
        layers = expect(manifest.get("layers"), list, f"{self.name}.layers")
        if subject.digest != image or len(layers) != 1:
            raise MalformedContent(f"The {self.name} speaks of {subject.digest}, not of {image}")
        layer = Descriptor.parse(layers[0], f"{self.name}.layers[0]")
        if layer.media_type != self.media_type or layer.size > _LIMIT:
            raise MalformedContent(
                f"Expected {self.media_type}, got {layer.media_type} of {layer.size} bytes"
            )
        return layer
