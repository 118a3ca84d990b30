from __future__ import annotations

import pytest

from ml_containerize.oci import media


@pytest.mark.parametrize(
    ("docker", "oci"),
    [
        (media.DOCKER_LAYER_TAR, media.LAYER_TAR),
        (media.DOCKER_LAYER_GZIP, media.LAYER_GZIP),
        (media.DOCKER_LAYER_ZSTD, media.LAYER_ZSTD),
    ],
)
def test_dockers_layer_types_have_an_oci_name_and_the_same_compression(docker: str, oci: str) -> None:
    assert media.as_oci(docker) == media.as_oci(oci) == oci
    assert media.compression_of(docker) == media.compression_of(oci)


def test_an_unknown_type_stays_as_it_is_and_has_no_compression() -> None:
    assert media.as_oci("application/x-chart") == "application/x-chart"
    assert media.compression_of("application/x-chart") is None
