from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_containerize.names import Digest, Platform
from ml_containerize.oci import media
from ml_containerize.oci.descriptor import Descriptor
from ml_containerize.oci.document import MalformedContent

EMPTY = Digest.of(b"")
VALID: dict[str, Any] = {"mediaType": media.LAYER_TAR, "digest": str(EMPTY), "size": 0}

descriptors = st.builds(
    Descriptor,
    media_type=st.text(),
    digest=st.binary(max_size=8).map(Digest.of),
    size=st.integers(min_value=0),
    annotations=st.dictionaries(st.text(), st.text(), max_size=3),
    platform=st.none() | st.builds(Platform, st.text(min_size=1), st.text(min_size=1), st.text()),
)


@given(descriptors)
def test_what_is_written_is_read_again(descriptor: Descriptor) -> None:
    assert Descriptor.parse(descriptor.as_json()) == descriptor


def test_a_descriptor_of_content_has_its_digest_and_size() -> None:
    assert Descriptor.of(b"abc", "text/plain") == Descriptor("text/plain", Digest.of(b"abc"), 3)


def test_what_is_empty_is_left_out() -> None:
    assert Descriptor(media.LAYER_TAR, EMPTY, 0).as_json() == VALID


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"size": -1}, "size"),
        ({"size": True}, "size"),
        ({"size": "3"}, "size"),
        ({"size": None}, "size"),
        ({"digest": "sha256:short"}, "digest"),
        ({"digest": None}, "digest"),
        ({"mediaType": 3}, "mediaType"),
        ({"annotations": {"a": 1}}, "annotations.a"),
        ({"annotations": []}, "annotations"),
        ({"platform": "linux/amd64"}, "platform"),
        ({"platform": {"os": "linux"}}, "platform.architecture"),
    ],
)
def test_a_wrong_member_is_named_with_its_place(change: dict[str, Any], place: str) -> None:
    with pytest.raises(MalformedContent) as refused:
        Descriptor.parse(VALID | change, "manifest.layers[2]")
    assert f"manifest.layers[2].{place}" in refused.value.what


def test_members_of_later_specifications_are_passed_over() -> None:
    assert Descriptor.parse(VALID | {"data": "", "artifactType": "x", "urls": []}) == Descriptor.parse(VALID)


def test_a_docker_layer_goes_into_an_oci_manifest_under_its_oci_name() -> None:
    docker = Descriptor(media.DOCKER_LAYER_GZIP, EMPTY, 7, {"a": "b"})
    assert docker.as_oci() == Descriptor(media.LAYER_GZIP, EMPTY, 7, {"a": "b"})
