"""A plan's environment: found where it was built before, else built."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ml_containerize.build.cache import EnvironmentCache
from ml_containerize.build.image import own_layers
from ml_containerize.console import Console, human_size
from ml_containerize.errors import EnvironmentMissing
from ml_containerize.names import Repository, parse_reference
from ml_containerize.oci.blobs import CorruptBlob
from ml_containerize.oci.content import Content, Source
from ml_containerize.oci.document import MalformedContent
from ml_containerize.oci.find import ImageNotFound, ImageNotReadable, find_image, is_layout_path
from ml_containerize.oci.image import FoundImage
from ml_containerize.oci.layout import Layout
from ml_containerize.oci.manifest import PlatformNotFound
from ml_containerize.oci.registry import Connect
from ml_containerize.plan.decide import Plan
from ml_containerize.plan.labels import ENVIRONMENT_KEY


def environment_cache(plan: Plan) -> EnvironmentCache:
    return EnvironmentCache(plan.settings.cache / "environments")


def find_environment(plan: Plan, connect: Connect, console: Console) -> FoundImage | None:
    """The environment's manifest and configuration, from this machine or a registry; its layers stay there.

    Where the image will be published, what is published there decides: other images stand on it. Raises the
    network's errors in that case.
    """
    cached = find_cached(plan, connect)
    if cached and not plan.settings.push:
        return cached
    published = find_published(plan, connect, console)
    return cached if cached and (not published or published.digest == cached.digest) else published


def find_cached(plan: Plan, connect: Connect) -> FoundImage | None:
    return environment_cache(plan).find(plan.environment.key, base_source(plan, connect))


def find_published(plan: Plan, connect: Connect, console: Console) -> FoundImage | None:
    """The environment in the first of the plan's repositories that has it."""
    found = (_in_repository(plan, repository, connect, console) for repository in plan.settings.images)
    return next((image for image in found if image), None)


def _in_repository(
    plan: Plan, repository: Repository, connect: Connect, console: Console
) -> FoundImage | None:
    environment, where = plan.environment, f"{repository}:{plan.environment.key.tag}"
    try:
        found = find_image(where, environment.platform, connect)
    except (ImageNotFound, ImageNotReadable):
        return None
    except (MalformedContent, PlatformNotFound) as error:
        console.warn(f"{where} is not used: {error.what}")
        return None
    except EnvironmentMissing as error:
        if plan.settings.push:
            raise
        console.warn(f"{repository} cannot be asked for the environment: {error.what}")
        return None
    if found.labels.get(ENVIRONMENT_KEY) != str(environment.key):
        console.warn(f"{where} is not used: it is not labelled with its own key")
        return None
    return found


def base_source(plan: Plan, connect: Connect) -> Source:
    """Where the base image's layers are."""
    where = plan.environment.base.where
    return Layout(Path(where)) if is_layout_path(where) else connect(parse_reference(where).repository)


def is_cached(environment: FoundImage) -> bool:
    """True where its own layers are on this machine."""
    return all(isinstance(environment.sources[layer.digest], Layout) for layer in own_layers(environment))


def bring_cached(environment: FoundImage, plan: Plan, layout: Layout, console: Console) -> bool:
    """Link the environment's own layers into the layout, each verified; False where one is broken."""
    content, own = Content(layout, environment.sources), own_layers(environment)
    with console.progress("verifying", sum(layer.size for layer in own)) as advance:
        for layer in own:
            layout.blob_path(layer.digest).unlink(missing_ok=True)  # what lies there was not verified
            try:
                content.pull(layer, advance)
            except CorruptBlob as error:
                console.warn(f"the local cache is damaged: {error.what}")
                environment_cache(plan).drop(layer)
                return False
    return True


def obtain_environment(
    plan: Plan, layout: Layout, connect: Connect, console: Console, build: Callable[[], FoundImage]
) -> FoundImage:
    """The environment, its manifest and configuration in the layout, its layers there or at a registry."""
    environment = _obtain(plan, layout, connect, console, build)
    layout.write(environment.config_body, environment.manifest.config.media_type)
    layout.write(environment.manifest_body, environment.descriptor.media_type)
    return environment


def _obtain(
    plan: Plan, layout: Layout, connect: Connect, console: Console, build: Callable[[], FoundImage]
) -> FoundImage:
    key = plan.environment.key
    found = find_environment(plan, connect, console)
    if found and is_cached(found):
        if bring_cached(found, plan, layout, console):
            console.info(f"environment {key.short} found in the local cache, reused")
            return found
        found = find_published(plan, connect, console)
    if found:
        console.info(f"environment {key.short} found in {found.name}, reused")
        return found
    console.info(f"environment {key.short} not found: building it")
    built = build()
    environment_cache(plan).keep(key, built, layout)
    console.info(f"environment {key.short}: {human_size(sum(one.size for one in own_layers(built)))}")
    return built
