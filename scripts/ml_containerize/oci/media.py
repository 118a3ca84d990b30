"""Media types of the OCI image specification and of Docker's image manifest version 2, schema 2."""

from __future__ import annotations

from typing import Literal

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER_TAR = "application/vnd.oci.image.layer.v1.tar"
LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
EMPTY_JSON = "application/vnd.oci.empty.v1+json"

DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER_TAR = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_LAYER_ZSTD = "application/vnd.docker.image.rootfs.diff.tar.zstd"

INDEXES = frozenset({INDEX, DOCKER_LIST})
MANIFESTS = frozenset({MANIFEST, DOCKER_MANIFEST})

Compression = Literal["none", "gzip", "zstd"]

_LAYERS: dict[str, tuple[str, Compression]] = {
    LAYER_TAR: (LAYER_TAR, "none"),
    LAYER_GZIP: (LAYER_GZIP, "gzip"),
    LAYER_ZSTD: (LAYER_ZSTD, "zstd"),
    DOCKER_LAYER_TAR: (LAYER_TAR, "none"),
    DOCKER_LAYER_GZIP: (LAYER_GZIP, "gzip"),
    DOCKER_LAYER_ZSTD: (LAYER_ZSTD, "zstd"),
}


def compression_of(layer: str) -> Compression | None:
    """How a layer of this media type is packed; None where it is no layer that we can read."""
    return _LAYERS[layer][1] if layer in _LAYERS else None


def as_oci(layer: str) -> str:
    """The OCI name of a layer's media type: Docker's own types have the same bytes behind them."""
    return _LAYERS[layer][0] if layer in _LAYERS else layer
