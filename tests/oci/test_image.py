from __future__ import annotations

from pathlib import Path

import pytest

from ml_containerize.names import Digest, Platform
from ml_containerize.oci import media
from ml_containerize.oci.blobs import CorruptBlob
from ml_containerize.oci.config import extend
from ml_containerize.oci.document import Json, MalformedContent, canonical
from ml_containerize.oci.image import FoundImage, Image, open_image
from ml_containerize.oci.layers import Entry, Layer, write_layer
from ml_containerize.oci.layout import Layout
from ml_containerize.oci.manifest import Manifest

BARE: Json = {"os": "linux", "architecture": "arm64", "rootfs": {"type": "layers", "diff_ids": []}}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.create(tmp_path / "layout")


def packed(layout: Layout) -> list[Layer]:
    return [
        write_layer(layout, [Entry.bytes("a", b"1")], compression="zstd", created_by="packages"),
        write_layer(layout, [Entry.bytes("b", b"2")], compression="none", created_by="model"),
    ]


def assembled(layout: Layout, layers: list[Layer], config: Json, config_type: str = media.CONFIG) -> Image:
    described = tuple(layer.descriptor for layer in layers)
    manifest = Manifest(layout.write(canonical(config), config_type), described)
    layout.set_image(layout.write(manifest.as_bytes(), media.MANIFEST), "digits:latest")
    return open_image(layout)


def test_an_image_is_opened_with_all_that_it_says_of_itself(layout: Layout) -> None:
    layers = packed(layout)
    config = extend(BARE, layers, created="2026-01-01T00:00:00Z", labels={"x": "y"})
    image = assembled(layout, layers, config)
    assert image.layers == tuple(layers)
    assert (image.name, image.platform, image.labels) == (
        "digits:latest",
        Platform.parse("linux/arm64"),
        {"x": "y"},
    )
    assert image.digest == image.manifest.described().digest
    assert image.content.has(image.digest)


def test_a_manifest_and_a_configuration_that_disagree_are_malformed(layout: Layout) -> None:
    with pytest.raises(MalformedContent, match="number of layers"):
        assembled(layout, packed(layout), BARE)


def test_an_artifact_is_no_image(layout: Layout) -> None:
    with pytest.raises(MalformedContent, match="no container image"):
        assembled(layout, [], BARE, media.EMPTY_JSON)


def test_a_corrupt_configuration_is_noticed(layout: Layout) -> None:
    image = assembled(layout, [], BARE)
    layout.blob_path(image.manifest.config.digest).write_bytes(canonical(BARE | {"os": "linuz"}))
    with pytest.raises(CorruptBlob):
        open_image(layout)


def found(layout: Layout, image: Image) -> FoundImage:
    """An image as it is looked up in another layout."""
    body, config = layout.read(image.descriptor), layout.read(image.manifest.config)
    return FoundImage.of("base", (image.descriptor, body), config, layout)


def test_a_found_image_goes_into_a_layout_and_leaves_its_layers_where_they_are(
    layout: Layout, tmp_path: Path
) -> None:
    layers = packed(layout)
    original = assembled(layout, layers, extend(BARE, layers, created="2026-01-01T00:00:00Z"))
    image = found(layout, original).into(Layout.create(tmp_path / "mine"))
    assert (image.digest, image.layers) == (original.digest, original.layers)
    assert image.content.layout.read(image.descriptor) == original.manifest.as_bytes()
    assert not any(image.content.has(layer.descriptor.digest) for layer in layers)
    for layer in layers:
        image.content.pull(layer.descriptor)
    assert all(image.content.has(layer.descriptor.digest) for layer in layers)


def test_a_found_manifest_keeps_its_bytes_however_it_is_written(layout: Layout, tmp_path: Path) -> None:
    image = assembled(layout, [], BARE)
    body = b"\n " + image.manifest.as_bytes() + b"\n"
    descriptor = layout.write(body, media.MANIFEST)
    config = layout.read(image.manifest.config)
    mine = FoundImage.of("base", (descriptor, body), config, layout).into(Layout.create(tmp_path / "mine"))
    assert mine.content.layout.read(mine.descriptor) == body
    assert mine.digest == Digest.of(body) != image.digest
