"""An image that another job built and published under its digest, taken up as if it had been built here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ml_containerize.build.direct import needed, open_layout
from ml_containerize.build.image import assemble, environment_image
from ml_containerize.console import Console
from ml_containerize.errors import BuildError
from ml_containerize.names import Digest, DigestReference
from ml_containerize.oci.find import find_image
from ml_containerize.oci.image import Image
from ml_containerize.oci.layout import ENVIRONMENT
from ml_containerize.oci.registry import Connect
from ml_containerize.plan.decide import Plan
from ml_containerize.plan.labels import LAYER

_ENVIRONMENT_LAYERS = {"packages", "serving"}


class ForeignImage(BuildError):
    """The published image is not the one that the plan describes."""

    def __init__(self, where: DigestReference, differ: Mapping[str, tuple[str, str]]) -> None:
        told = (
            f"{key} is {theirs or 'not there'}, expected {ours}" for key, (theirs, ours) in differ.items()
        )
        super().__init__(
            "\n".join((f"{where} is not the image of this project as it is checked out here", *told)),
            "Check out the commit that the image was built of and use the same inputs, or build it anew.",
        )


class NotOneImage(BuildError):
    """The digest is that of an index of several images."""

    def __init__(self, where: DigestReference, chosen: Digest) -> None:
        super().__init__(
            f"{where} is an index of images, not an image",
            f"Name the image itself; for this platform it is {chosen}.",
        )


def open_published(plan: Plan, where: DigestReference, *, connect: Connect) -> Image:
    """The image, its manifest and configuration in the output folder's layout, its layers at the registry.

    The layout holds nothing else afterwards but those of its blobs that were there. Raises NotOneImage,
    ForeignImage, and as `find_image`.
    """
    found = find_image(str(where), plan.settings.platform, connect)
    if found.digest != where.digest:
        raise NotOneImage(where, found.digest)
    differ = _differences(found.labels, plan.labels)
    if differ:
        raise ForeignImage(where, differ)
    layout = open_layout(plan)
    image = found.into(layout)
    layout.set_image(image.descriptor, f"{plan.name}:{plan.identity}")
    layout.prune(needed(image))
    return image


def recover_environment(plan: Plan, image: Image, *, connect: Connect, console: Console) -> None:
    """List the environment that the image stands on beside it, as `build` does, so that `push` can share it.

    It is made anew from the base, the image's layers and the plan, and counts only if the image follows from
    it to the last byte. Raises as `find_image` where the base is.
    """
    layout = image.content.layout
    base = find_image(plan.environment.base.where, plan.environment.platform, connect)
    above = image.layers[len(base.layers) :]
    own = [layer for layer in above if layer.descriptor.annotations.get(LAYER) in _ENVIRONMENT_LAYERS]
    environment = environment_image(plan, base, own)
    if assemble(plan, environment, above[len(own) :], layout).digest != image.digest:
        console.info("the environment was made by another version of this command, and is not shared")
        return
    layout.write(environment.config_body, environment.manifest.config.media_type)
    layout.write(environment.manifest_body, environment.descriptor.media_type)
    marked = replace(environment.descriptor, annotations={ENVIRONMENT: str(plan.environment.key)})
    layout.set_image(image.descriptor, image.name, marked)


def _differences(theirs: Mapping[str, str], ours: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """The plan's labels that the image has otherwise; more labels may come from its base."""
    return {key: (theirs.get(key, ""), value) for key, value in ours.items() if theirs.get(key) != value}
