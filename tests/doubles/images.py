"""Small images for tests: a base of some layers with a model on top, in a layout or served by a double."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from doubles.registry_double import RegistryDouble

from ml_containerize.names import EnvironmentKey, Platform
from ml_containerize.oci import config as configuration
from ml_containerize.oci import media
from ml_containerize.oci.descriptor import Descriptor
from ml_containerize.oci.document import canonical
from ml_containerize.oci.entries import Entry
from ml_containerize.oci.image import Image, open_image
from ml_containerize.oci.layers import Layer, write_layer
from ml_containerize.oci.layout import ENVIRONMENT, Layout
from ml_containerize.oci.manifest import Index, Manifest

CREATED = "2026-01-01T00:00:00Z"
LINUX = Platform("linux", "amd64")
LAYER_KIND = "io.ml-containerize.layer"


def write_image(
    folder: Path,
    *layers: Mapping[str, bytes],
    kinds: Sequence[str] = (),
    labels: Mapping[str, str] | None = None,
    platform: Platform = LINUX,
    name: str = "digits:latest",
) -> Image:
    """An image with one layer for each mapping of paths to content; `kinds` annotates them, lowest first."""
    layout = Layout.create(folder)
    padded = [*kinds, *[""] * len(layers)]
    written = [_layer(layout, files, kind) for files, kind in zip(layers, padded, strict=False)]
    bare = {
        "os": platform.os,
        "architecture": platform.architecture,
        "rootfs": {"type": "layers", "diff_ids": []},
    }
    config = configuration.extend(bare, written, created=CREATED, labels=labels)
    manifest = Manifest(
        layout.write(canonical(config), media.CONFIG), tuple(layer.descriptor for layer in written)
    )
    layout.set_image(layout.write(manifest.as_bytes(), media.MANIFEST), name)
    return open_image(layout)


def _layer(layout: Layout, files: Mapping[str, bytes], kind: str) -> Layer:
    return write_layer(
        layout,
        [Entry.bytes(path, content) for path, content in files.items()],
        compression="none",
        created_by="a test",
        annotations={LAYER_KIND: kind} if kind else {},
    )


def publish(image: Image, double: RegistryDouble, path: str, tag: str = "") -> None:
    """Put an image into a double, as if it had been pushed."""
    for blob in (image.manifest.config, *image.manifest.layers):
        double.put_blob(path, image.content.layout.read(blob))
    double.put_manifest(path, image.content.layout.read(image.descriptor), media.MANIFEST, tag)


def publish_index(images: Sequence[Image], double: RegistryDouble, path: str, tag: str) -> None:
    """Put images for several platforms into a double, under one index."""
    for image in images:
        publish(image, double, path)
    described = tuple(replace(image.descriptor, annotations={}, platform=image.platform) for image in images)
    double.put_manifest(path, Index(described).as_bytes(), media.INDEX, tag)


def add_environment(image: Image, key: EnvironmentKey, layers: int) -> Descriptor:
    """List an environment of the image's lowest layers beside it, as the builder does."""
    layout, lower = image.content.layout, image.layers[:layers]
    bare = {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": []}}
    config = layout.write(canonical(configuration.extend(bare, lower, created=CREATED)), media.CONFIG)
    manifest = Manifest(config, tuple(layer.descriptor for layer in lower))
    described = layout.write(manifest.as_bytes(), media.MANIFEST, {ENVIRONMENT: str(key)})
    layout.set_image(image.descriptor, image.name, described)
    return described
