"""Building an image without a container engine: an environment, found or built, and the model on top."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from shutil import disk_usage

from ml_containerize.build.environment import (
    base_source,
    find_environment,
    obtain_environment,
)
from ml_containerize.build.image import assemble
from ml_containerize.build.model import model_layers
from ml_containerize.build.work_folder import MEMORY, sweep
from ml_containerize.command import Run
from ml_containerize.console import Console
from ml_containerize.errors import BuildError
from ml_containerize.names import Digest
from ml_containerize.oci.blobs import DiskFull, room
from ml_containerize.oci.content import Source
from ml_containerize.oci.image import FoundImage, Image, open_image
from ml_containerize.oci.layout import ENVIRONMENT, Layout, NoImage, NotALayout
from ml_containerize.oci.registry import Connect
from ml_containerize.plan.decide import Plan

PREDICTABLE = 256 * 2**20  # bytes of small files; packing more only to learn their digest would take seconds


class CacheUnusable(BuildError):
    """The cache folder cannot be written."""

    def __init__(self, folder: Path, why: str) -> None:
        super().__init__(
            f"The cache folder {folder} cannot be used: {why}", "Choose another one with --cache-dir."
        )


class NothingBuilt(BuildError):
    """The output folder has no image."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"There is no image in {folder}", "Run `ml-containerize build` first.")


class AnotherImage(BuildError):
    """The layout's image is not the one that the plan describes."""

    def __init__(self, image: Image, plan: Plan) -> None:
        super().__init__(
            f"{image.content.layout.path} holds {image.name}, but this project is now {plan.identity}",
            "Run `ml-containerize build` first.",
        )


def build(plan: Plan, *, connect: Connect, run: Run, console: Console, environ: Mapping[str, str]) -> Image:
    """Write the plan's image into the output folder's layout, which holds nothing else afterwards."""
    layout = open_layout(plan)

    def build_environment() -> FoundImage:
        from ml_containerize.build.environment_builder import EnvironmentBuilder, needed_room

        size = needed_room(plan)
        _require_room(plan, size)
        with room(plan.settings.output, size):
            return EnvironmentBuilder(plan, layout, connect, run, console, environ).build()

    _require_room(plan, plan.model.size)
    environment = obtain_environment(plan, layout, connect, console, build_environment)
    with console.progress("packing the model", plan.model.size) as advance:
        image = assemble(plan, environment, model_layers(plan.model, layout, advance=advance), layout)
    marked = replace(environment.descriptor, annotations={ENVIRONMENT: str(plan.environment.key)})
    layout.set_image(image.descriptor, image.name, marked)
    layout.prune(needed(image) | needed(environment))
    return image


def predict_image(plan: Plan, *, connect: Connect, console: Console) -> Image | None:
    """The image that `build` would make, its layers where a release of it has them; None if that takes work.

    Nothing is downloaded but the environment's manifest and configuration.
    """
    layout = open_layout(plan)
    small = sum(file.size for file in plan.model.files if file.layer is None)
    environment = find_environment(plan, connect, console) if small <= PREDICTABLE else None
    if environment is None:
        return None
    image = assemble(plan, environment, model_layers(plan.model, layout, large=False), layout)
    return _with_sources(image, _released(plan, image, connect))


def open_built(plan: Plan, *, connect: Connect, console: Console) -> Image:
    """The image that `build` left in the layout; raises NothingBuilt and AnotherImage."""
    folder = plan.settings.output / "layout"
    try:
        image = open_image(Layout.at(folder))
    except (NotALayout, NoImage) as error:
        raise NothingBuilt(folder) from error
    if any(image.labels.get(key) != value for key, value in plan.labels.items()):
        raise AnotherImage(image, plan)
    missing = [layer for layer in image.manifest.layers if not image.content.has(layer.digest)]
    environment = find_environment(plan, connect, console) if missing else None
    source = base_source(plan, connect)
    known = environment.sources if environment else {layer.digest: source for layer in missing}
    return _with_sources(image, known)


def open_layout(plan: Plan) -> Layout:
    """The output folder's layout, without what killed runs left; raises CacheUnusable, too."""
    output, cache = plan.settings.output, plan.settings.cache
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CacheUnusable(cache, error.strerror or str(error)) from error
    if not os.access(cache, os.W_OK | os.X_OK):
        raise CacheUnusable(cache, "it is not writable")
    sweep(output, MEMORY)
    return Layout.create(output / "layout")


def _require_room(plan: Plan, size: int) -> None:
    """Raise DiskFull before the work starts rather than in its middle; `size` in bytes."""
    if disk_usage(plan.settings.output).free < size:
        raise DiskFull(plan.settings.output, size)


def _released(plan: Plan, image: Image, connect: Connect) -> Mapping[Digest, Source]:
    """Where the layers are if the image was released."""
    if not plan.settings.images:
        return {}
    source = connect(plan.settings.images[0])
    return {layer.digest: source for layer in image.manifest.layers}


def _with_sources(image: Image, sources: Mapping[Digest, Source]) -> Image:
    return replace(image, content=image.content.with_sources(sources))


def needed(image: Image | FoundImage) -> set[Digest]:
    """All that a layout must keep for an image."""
    return {image.digest, image.manifest.config.digest, *(layer.digest for layer in image.manifest.layers)}
