"""Image manifests and image indexes, OCI's and Docker's (version 2, schema 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ml_containerize.errors import BuildError
from ml_containerize.names import Platform
from ml_containerize.oci import media
from ml_containerize.oci.descriptor import Descriptor
from ml_containerize.oci.document import (
    Json,
    MalformedContent,
    canonical,
    expect,
    expect_strings,
    parse_object,
)

_ATTESTATION = "vnd.docker.reference.type"  # BuildKit lists its attestations beside the images


class PlatformNotFound(BuildError):
    """An image exists, but not for the platform that was asked for."""

    def __init__(self, platform: Platform, found: Sequence[str]) -> None:
        offered = ", ".join(found) or "none"
        super().__init__(
            f"The image has no variant for {platform}; it has: {offered}",
            "Choose one of these as the platform, or a base image that supports yours.",
        )


@dataclass(frozen=True, slots=True)
class Manifest:
    """One image for one platform (OCI image specification, "Image Manifest")."""

    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    media_type: str = media.MANIFEST

    def as_bytes(self) -> bytes:
        """The canonical JSON: the same manifest always has the same digest."""
        members: Json = {
            "schemaVersion": 2,
            "mediaType": self.media_type,
            "config": self.config.as_json(),
            "layers": [layer.as_json() for layer in self.layers],
        }
        return canonical(members | ({"annotations": dict(self.annotations)} if self.annotations else {}))

    @classmethod
    def parse(cls, body: bytes) -> Manifest:
        """Read an OCI or Docker manifest; raises MalformedContent."""
        members = _parse_schema_2(body, "manifest")
        media_type = expect(members.get("mediaType", media.MANIFEST), str, "manifest.mediaType")
        if media_type not in media.MANIFESTS:
            raise MalformedContent(f"Expected an image manifest, got {media_type}")
        return cls(
            config=Descriptor.parse(members.get("config"), "manifest.config"),
            layers=_parse_list(members.get("layers"), "manifest.layers"),
            annotations=expect_strings(members.get("annotations"), "manifest.annotations"),
            media_type=media_type,
        )

    def described(self) -> Descriptor:
        """The descriptor of this manifest's canonical bytes."""
        return Descriptor.of(self.as_bytes(), self.media_type)


@dataclass(frozen=True, slots=True)
class Index:
    """A list of manifests, one per platform (OCI image specification, "Image Index")."""

    manifests: tuple[Descriptor, ...]

    def as_bytes(self) -> bytes:
        manifests = [manifest.as_json() for manifest in self.manifests]
        return canonical({"schemaVersion": 2, "mediaType": media.INDEX, "manifests": manifests})

    @classmethod
    def parse(cls, body: bytes) -> Index:
        """Read an OCI index or a Docker manifest list; raises MalformedContent."""
        members = _parse_schema_2(body, "index")
        media_type = expect(members.get("mediaType", media.INDEX), str, "index.mediaType")
        if media_type not in media.INDEXES:
            raise MalformedContent(f"Expected an image index, got {media_type}")
        return cls(_parse_list(members.get("manifests"), "index.manifests"))

    def select(self, platform: Platform) -> Descriptor:
        """The manifest for the platform, an exact match first; raises PlatformNotFound."""
        images = [manifest for manifest in self.manifests if _ATTESTATION not in manifest.annotations]
        if len(images) == 1 and images[0].platform is None:
            return images[0]
        fitting = [image for image in images if image.platform and platform.matches(image.platform)]
        if not fitting:
            raise PlatformNotFound(platform, [str(image.platform or "unnamed") for image in images])
        return next((image for image in fitting if image.platform == platform), fitting[0])


def _parse_schema_2(body: bytes, where: str) -> Json:
    members = parse_object(body, where)
    if members.get("schemaVersion") != 2:
        raise MalformedContent(
            f"The {where} has schema version {members.get('schemaVersion')!r}, not 2",
            "Push the image again with a current tool: this form was retired years ago.",
        )
    return members


def _parse_list(value: object, where: str) -> tuple[Descriptor, ...]:
    items = expect(value, list, where)
    return tuple(Descriptor.parse(item, f"{where}[{number}]") for number, item in enumerate(items))
