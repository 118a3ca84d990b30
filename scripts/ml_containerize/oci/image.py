"""Images: a manifest and its configuration at hand, and a place to read each layer from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ml_containerize.names import Digest, Platform
from ml_containerize.oci import config as configuration
from ml_containerize.oci import media
from ml_containerize.oci.content import Content, Source
from ml_containerize.oci.descriptor import Descriptor
from ml_containerize.oci.document import Json, MalformedContent
from ml_containerize.oci.layers import Layer
from ml_containerize.oci.layout import REF_NAME, Layout
from ml_containerize.oci.manifest import Manifest


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What is known of an image wherever its layers are; `descriptor` is its manifest's."""

    name: str
    descriptor: Descriptor
    manifest: Manifest
    config: Json = field(hash=False)

    @property
    def digest(self) -> Digest:
        return self.descriptor.digest

    @property
    def platform(self) -> Platform:
        return configuration.platform_of(self.config)

    @property
    def labels(self) -> Mapping[str, str]:
        return configuration.labels_of(self.config)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers, lowest first."""
        diff_ids = configuration.diff_ids_of(self.config)
        return tuple(map(Layer, self.manifest.layers, diff_ids, configuration.created_by_of(self.config)))


@dataclass(frozen=True, slots=True)
class Image(ImageFacts):
    """An image in a layout: its manifest and configuration are there, its layers there or at sources."""

    content: Content = field(hash=False)


@dataclass(frozen=True, slots=True)
class FoundImage(ImageFacts):
    """An image that was looked up in a registry or another layout, its bodies exactly as found."""

    manifest_body: bytes = field(repr=False)
    config_body: bytes = field(repr=False)
    sources: Mapping[Digest, Source] = field(hash=False)

    @classmethod
    def of(
        cls, name: str, manifest: tuple[Descriptor, bytes], config_body: bytes, source: Source
    ) -> FoundImage:
        """An image whose blobs are all at one source; `manifest` is its descriptor and body."""
        descriptor, body = manifest
        parsed = Manifest.parse(body)
        config = read_config(parsed, config_body)
        sources = {blob.digest: source for blob in (parsed.config, *parsed.layers)}
        return cls(name, descriptor, parsed, config, body, config_body, sources)

    def into(self, layout: Layout) -> Image:
        """Put manifest and configuration into a layout; the layers stay at their sources."""
        layout.write(self.config_body, self.manifest.config.media_type)
        layout.write(self.manifest_body, self.descriptor.media_type)
        content = Content(layout, self.sources)
        return Image(self.name, self.descriptor, self.manifest, self.config, content)


def open_image(
    layout: Layout, platform: Platform | None = None, sources: Mapping[Digest, Source] | None = None
) -> Image:
    """The layout's image; raises NoImage, PlatformNotFound, MissingBlob, CorruptBlob or MalformedContent."""
    descriptor = layout.image(platform)
    manifest = Manifest.parse(layout.read(descriptor))
    config = read_config(manifest, layout.read(manifest.config))
    name = descriptor.annotations.get(REF_NAME, str(layout.path))
    return Image(name, descriptor, manifest, config, Content(layout, sources or {}))


def read_config(manifest: Manifest, body: bytes) -> Json:
    """The configuration that belongs to a manifest; raises MalformedContent where the two disagree."""
    if manifest.config.media_type not in {media.CONFIG, media.DOCKER_CONFIG}:
        raise MalformedContent(
            f"This is no container image: its configuration is {manifest.config.media_type}",
            "Name an image, not a signature, SBOM or other artifact.",
        )
    config = configuration.parse_config(body)
    if len(configuration.diff_ids_of(config)) != len(manifest.layers):
        raise MalformedContent("The image's configuration and manifest disagree about the number of layers")
    return config
