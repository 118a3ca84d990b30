"""Descriptors: what content is, how long it is, and the digest that it must have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ml_containerize.names import Digest, Platform
from ml_containerize.oci import media
from ml_containerize.oci.document import Json, MalformedContent, expect, expect_digest, expect_strings


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A pointer to content (OCI image specification, "Content Descriptors"); `size` in bytes."""

    media_type: str
    digest: Digest
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    platform: Platform | None = None

    @classmethod
    def of(cls, content: bytes, media_type: str) -> Descriptor:
        return cls(media_type, Digest.of(content), len(content))

    @classmethod
    def parse(cls, value: object, where: str = "descriptor") -> Descriptor:
        """Read a descriptor's JSON; raises MalformedContent that names the member."""
        members = expect(value, dict, where)
        size = expect(members.get("size"), int, f"{where}.size")
        if size < 0:
            raise MalformedContent(f"Expected a size of 0 or more in {where}.size, got {size}")
        return cls(
            media_type=expect(members.get("mediaType"), str, f"{where}.mediaType"),
            digest=expect_digest(members.get("digest"), f"{where}.digest"),
            size=size,
            annotations=expect_strings(members.get("annotations"), f"{where}.annotations"),
            platform=_parse_platform(members.get("platform"), f"{where}.platform"),
        )

    def as_json(self) -> Json:
        members: Json = {"mediaType": self.media_type, "digest": str(self.digest), "size": self.size}
        if self.annotations:
            members["annotations"] = dict(self.annotations)
        if self.platform:
            members["platform"] = platform_json(self.platform)
        return members

    def as_oci(self) -> Descriptor:
        """The same layer under its OCI media type, for a manifest that must not mix in Docker's."""
        return replace(self, media_type=media.as_oci(self.media_type))


def platform_json(platform: Platform) -> Json:
    members = {"os": platform.os, "architecture": platform.architecture}
    return members | ({"variant": platform.variant} if platform.variant else {})


def _parse_platform(value: object, where: str) -> Platform | None:
    if value is None:
        return None
    members = expect(value, dict, where)
    return Platform(
        os=expect(members.get("os"), str, f"{where}.os"),
        architecture=expect(members.get("architecture"), str, f"{where}.architecture"),
        variant=expect(members.get("variant", ""), str, f"{where}.variant"),
    )
