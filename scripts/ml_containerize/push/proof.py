"""The gates' proof: what passed, when, under which policy, published beside the image that it speaks of.

It is an OCI artifact (image specification 1.1, "Guidelines for Artifact Usage") under the tag
`sha256-<hex>.proof`, its `subject` the image. A later run that would ask the same of it can rely on it.
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
from ml_containerize.results import Json

ARTIFACT = "application/vnd.io.ml-containerize.proof.v1+json"
_EMPTY = Descriptor.of(b"{}", media.EMPTY_JSON)
_LIMIT = 16 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Proof:
    """What the gates found: `policy` is the SHA-256 of what they were asked, `checked_at` is RFC 3339."""

    policy: str
    checked_at: str
    smoke: Json
    scan: Json

    @classmethod
    def parse(cls, body: bytes) -> Proof:
        """Read a proof's JSON; raises MalformedContent."""
        members = parse_object(body, "proof")
        return cls(
            policy=expect(members.get("policy"), str, "proof.policy"),
            checked_at=expect(members.get("time"), str, "proof.time"),
            smoke=expect(members.get("smoke"), dict, "proof.smoke"),
            scan=expect(members.get("scan"), dict, "proof.scan"),
        )

    def as_bytes(self) -> bytes:
        return canonical(
            {"policy": self.policy, "time": self.checked_at, "smoke": self.smoke, "scan": self.scan}
        )


def proof_tag(image: Digest) -> str:
    return f"sha256-{image.hex}.proof"


def read_proof(client: RegistryClient, image: Digest) -> Proof | None:
    """The proof for an image, None where there is none that can be read: then the gates are asked again."""
    try:
        _, body = client.get_manifest(proof_tag(image))
        layer = _proof_layer(parse_object(body, "proof"), image)
        with client.open_blob(layer) as stream:
            return Proof.parse(stream.read())
    except (ManifestNotFound, MalformedContent, CorruptBlob):
        return None


def write_proof(client: RegistryClient, image: Descriptor, proof: Proof) -> None:
    """Publish a proof, unless this very one is there."""
    content = proof.as_bytes()
    manifest = _manifest(image, Descriptor.of(content, ARTIFACT))
    found = client.find_manifest(proof_tag(image.digest))
    if found and found.digest == Digest.of(manifest):
        return
    for blob in (b"{}", content):
        client.upload(Descriptor.of(blob, ARTIFACT), partial(BytesIO, blob))
    client.put_manifest(manifest, media.MANIFEST, proof_tag(image.digest))


def _manifest(image: Descriptor, layer: Descriptor) -> bytes:
    subject = Descriptor(image.media_type, image.digest, image.size)
    return canonical(
        {
            "schemaVersion": 2,
            "mediaType": media.MANIFEST,
            "artifactType": ARTIFACT,
            "config": _EMPTY.as_json(),
            "layers": [layer.as_json()],
            "subject": subject.as_json(),
        }
    )


def _proof_layer(manifest: Mapping[str, Any], image: Digest) -> Descriptor:
    """The one layer of a proof that speaks of this image; raises MalformedContent."""
    subject = Descriptor.parse(manifest.get("subject"), "proof.subject")
    layers = expect(manifest.get("layers"), list, "proof.layers")
    if subject.digest != image or len(layers) != 1:
        raise MalformedContent(f"The proof speaks of {subject.digest}, not of {image}")
    layer = Descriptor.parse(layers[0], "proof.layers[0]")
    if layer.media_type != ARTIFACT or layer.size > _LIMIT:
        raise MalformedContent(f"Expected {ARTIFACT}, got {layer.media_type} of {layer.size} bytes")
    return layer
