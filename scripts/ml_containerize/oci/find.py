"""Looking an image up by what people write: a registry reference, or the path of a layout folder."""

from __future__ import annotations

from pathlib import Path

from ml_containerize.errors import BuildError, ContainerizeError
from ml_containerize.names import (
    BaseReference,
    Digest,
    DigestReference,
    Platform,
    Reference,
    parse_reference,
)
from ml_containerize.oci import media
from ml_containerize.oci.descriptor import Descriptor
from ml_containerize.oci.document import MalformedContent
from ml_containerize.oci.image import FoundImage, open_image
from ml_containerize.oci.layout import Layout
from ml_containerize.oci.manifest import Index, Manifest, PlatformNotFound
from ml_containerize.oci.refusals import AccessDenied, LoginNeeded, LoginRefused
from ml_containerize.oci.registry import Connect, ManifestNotFound, RegistryClient

_DEEPEST = 3  # indexes within indexes
_CONFIG_LIMIT = 16 << 20  # bytes; the registry's word is no reason to fill the memory


class ImageNotFound(BuildError):
    """The registry answers, but has no such image."""

    def __init__(self, where: str) -> None:
        super().__init__(
            f"{where} does not exist",
            "Check the name and the tag or digest; some registries also say so where a login is missing.",
        )


class ImageNotReadable(BuildError):
    """The registry wants a login for this image, or another one."""

    def __init__(self, where: str, cause: ContainerizeError) -> None:
        super().__init__(
            f"{where} cannot be read: {cause.what}",
            f"{cause.fix} Some registries answer so for names that do not exist: check the name, too.",
        )


def find_image(where: str, platform: Platform, connect: Connect) -> FoundImage:
    """The image for a platform, its layers still at their source.

    Raises ImageNotFound, ImageNotReadable, PlatformNotFound, MalformedContent, NotALayout, NoImage, and what
    the network raises (exit 8).
    """
    if is_layout_path(where):
        return _in_layout(Path(where), platform)
    reference = parse_reference(where)
    client = connect(reference.repository)
    try:
        return _checked(_in_registry(reference, platform, client), platform)
    except (ManifestNotFound, LoginNeeded, LoginRefused, AccessDenied) as error:
        raise _untold(where, error) from error


def resolve_base(where: str, platform: Platform, connect: Connect) -> BaseReference:
    """Pin a base image by the digest that its name has now; raises as `find_image`."""
    if is_layout_path(where):
        found = _in_layout(Path(where), platform)
        return BaseReference(found.name, found.digest, where)
    reference = parse_reference(where)
    try:
        descriptor = connect(reference.repository).find_manifest(_target(reference))
    except (LoginNeeded, LoginRefused, AccessDenied) as error:
        raise _untold(where, error) from error
    if descriptor is None:
        raise ImageNotFound(where)
    pinned = reference.repository.at(descriptor.digest)
    return BaseReference(str(reference), descriptor.digest, str(pinned))


def is_layout_path(where: str) -> bool:
    """True for a path, absolute or starting with a dot, and for a layout folder by whatever name."""
    return where.startswith(("/", "./", "../")) or (Path(where) / "oci-layout").is_file()


def _in_layout(path: Path, platform: Platform) -> FoundImage:
    layout = Layout.at(path)
    image = open_image(layout, platform)
    body = layout.read(image.descriptor)
    config = layout.read(image.manifest.config)
    return _checked(FoundImage.of(image.name, (image.descriptor, body), config, layout), platform)


def _in_registry(reference: Reference, platform: Platform, client: RegistryClient) -> FoundImage:
    descriptor, body = _manifest(_target(reference), platform, client)
    config = Manifest.parse(body).config
    if config.size > _CONFIG_LIMIT:
        raise MalformedContent(f"The configuration of {reference} is larger than any may be")
    with client.open_blob(config) as stream:
        return FoundImage.of(str(reference), (descriptor, body), stream.read(), client)


def _manifest(target: str | Digest, platform: Platform, client: RegistryClient) -> tuple[Descriptor, bytes]:
    """The manifest for the platform, through the index where there is one."""
    for _ in range(_DEEPEST):
        descriptor, body = client.get_manifest(target)
        if descriptor.media_type not in media.INDEXES:
            return descriptor, body
        target = Index.parse(body).select(platform).digest
    raise MalformedContent(f"The index {target} leads to ever more indexes")


def _target(reference: Reference) -> str | Digest:
    return reference.digest if isinstance(reference, DigestReference) else reference.name


def _checked(image: FoundImage, platform: Platform) -> FoundImage:
    """A single image says its platform in its configuration only."""
    if not platform.matches(image.platform):
        raise PlatformNotFound(platform, [str(image.platform)])
    return image


def _untold(where: str, error: ContainerizeError) -> BuildError:
    return ImageNotFound(where) if isinstance(error, ManifestNotFound) else ImageNotReadable(where, error)
