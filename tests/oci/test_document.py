from __future__ import annotations

import pytest

from ml_containerize.names import Digest
from ml_containerize.oci.document import (
    MalformedContent,
    canonical,
    expect,
    expect_digest,
    expect_strings,
    parse_object,
)


def test_one_document_has_one_spelling() -> None:
    assert (
        canonical({"b": [1, 2], "a": "ö"})
        == canonical({"a": "ö", "b": [1, 2]})
        == '{"a":"ö","b":[1,2]}'.encode()
    )


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"text"', b"\xff", b"[" * 100_000])
def test_what_is_no_json_object_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedContent, match="manifest"):
        parse_object(body, "manifest")


def test_true_is_not_a_number() -> None:
    with pytest.raises(MalformedContent, match=r"Expected int in layer\.size, got bool"):
        expect(True, int, "layer.size")


def test_absent_annotations_are_none() -> None:
    assert expect_strings(None, "annotations") == {}


def test_a_value_that_is_no_string_is_named_by_its_key() -> None:
    with pytest.raises(MalformedContent, match=r"annotations\.count"):
        expect_strings({"count": 1}, "annotations")


def test_a_digest_is_read() -> None:
    assert expect_digest(f"sha256:{'0' * 64}", "digest") == Digest("0" * 64)


@pytest.mark.parametrize("text", ["sha512:" + "0" * 128, "sha256:xyz", "", 7])
def test_another_algorithm_or_no_digest_is_malformed(text: object) -> None:
    with pytest.raises(MalformedContent, match=r"config\.digest"):
        expect_digest(text, "config.digest")
