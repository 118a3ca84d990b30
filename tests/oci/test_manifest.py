from __future__ import annotations

import json
from typing import Any

import pytest

from ml_containerize.names import Digest, Platform
from ml_containerize.oci import media
from ml_containerize.oci.descriptor import Descriptor
from ml_containerize.oci.document import MalformedContent
from ml_containerize.oci.manifest import Index, Manifest, PlatformNotFound

AMD64, ARM64, ARM_V7 = (Platform.parse(text) for text in ("linux/amd64", "linux/arm64", "linux/arm/v7"))
CONFIG = Descriptor.of(b"{}", media.CONFIG)
LAYER = Descriptor.of(b"layer", media.LAYER_TAR)


def manifest_for(platform: Platform | None, content: str = "", **annotations: str) -> Descriptor:
    body = f"{platform}{content}".encode()
    return Descriptor(media.MANIFEST, Digest.of(body), len(body), annotations, platform)


def test_a_manifest_is_read_again_as_it_was_written() -> None:
    manifest = Manifest(CONFIG, (LAYER,), {"org.opencontainers.image.title": "digits"})
    assert Manifest.parse(manifest.as_bytes()) == manifest


def test_a_manifests_descriptor_has_the_digest_of_its_canonical_bytes() -> None:
    manifest = Manifest(CONFIG, (LAYER,))
    assert manifest.described().digest == Digest.of(manifest.as_bytes())
    assert b" " not in manifest.as_bytes()


def test_the_order_of_annotations_does_not_change_the_digest() -> None:
    one, other = ({"a": "1", "b": "2"}, {"b": "2", "a": "1"})
    assert Manifest(CONFIG, (), one).described() == Manifest(CONFIG, (), other).described()


def test_dockers_manifest_is_read_and_keeps_its_type() -> None:
    body = {
        "schemaVersion": 2,
        "mediaType": media.DOCKER_MANIFEST,
        "config": Descriptor.of(b"{}", media.DOCKER_CONFIG).as_json(),
        "layers": [Descriptor.of(b"x", media.DOCKER_LAYER_GZIP).as_json()],
    }
    manifest = Manifest.parse(json.dumps(body, indent=3).encode())
    assert manifest.media_type == media.DOCKER_MANIFEST
    assert manifest.layers[0].media_type == media.DOCKER_LAYER_GZIP


@pytest.mark.parametrize(
    "change",
    [
        {"schemaVersion": 1},
        {"schemaVersion": None},
        {"mediaType": media.INDEX},
        {"layers": None},
        {"layers": [{}]},
        {"config": None},
        {"annotations": {"a": 1}},
    ],
)
def test_what_is_no_manifest_is_malformed(change: dict[str, Any]) -> None:
    body = {"schemaVersion": 2, "config": CONFIG.as_json(), "layers": [LAYER.as_json()]}
    with pytest.raises(MalformedContent):
        Manifest.parse(json.dumps(body | change).encode())


def test_an_index_is_read_again_as_it_was_written() -> None:
    index = Index((manifest_for(AMD64), manifest_for(ARM_V7)))
    assert Index.parse(index.as_bytes()) == index


def test_a_manifest_is_no_index() -> None:
    with pytest.raises(MalformedContent, match="Expected an image index"):
        Index.parse(Manifest(CONFIG, ()).as_bytes())


def test_the_platforms_own_manifest_is_selected() -> None:
    index = Index((manifest_for(ARM64), manifest_for(AMD64)))
    assert index.select(AMD64) == manifest_for(AMD64)


def test_an_exact_variant_wins_over_one_that_only_fits() -> None:
    v3 = Platform("linux", "amd64", "v3")
    index = Index((manifest_for(v3), manifest_for(AMD64)))
    assert index.select(AMD64) == manifest_for(AMD64)
    assert index.select(v3) == manifest_for(v3)


def test_arm64_is_found_under_its_only_variant() -> None:
    v8 = manifest_for(Platform("linux", "arm64", "v8"))
    assert Index((manifest_for(AMD64), v8)).select(ARM64) == v8


def test_attestations_beside_the_image_are_not_images() -> None:
    attestation = manifest_for(
        Platform("unknown", "unknown"), **{"vnd.docker.reference.type": "attestation-manifest"}
    )
    with pytest.raises(PlatformNotFound) as refused:
        Index((manifest_for(AMD64), attestation)).select(ARM64)
    assert "unknown" not in refused.value.what


def test_a_missing_platform_is_refused_with_those_that_exist() -> None:
    with pytest.raises(
        PlatformNotFound, match="no variant for linux/arm/v7; it has: linux/amd64, linux/arm64"
    ):
        Index((manifest_for(AMD64), manifest_for(ARM64))).select(ARM_V7)


def test_the_only_image_needs_no_platform_to_be_selected() -> None:
    assert Index((manifest_for(None),)).select(AMD64) == manifest_for(None)


def test_an_empty_index_has_no_platform() -> None:
    with pytest.raises(PlatformNotFound, match="it has: none"):
        Index(()).select(AMD64)
