from __future__ import annotations

import struct
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from serving.errors import ModelUnusable
from serving.runtimes.ubjson import check_whole

LENGTH = struct.Struct(">q")


def text(value: str) -> bytes:
    return b"L" + LENGTH.pack(len(value)) + value.encode()


def document(value: object) -> bytes:
    """UBJSON as XGBoost writes it, with its letter in front."""
    if isinstance(value, dict):
        return b"{" + b"".join(text(key) + document(item) for key, item in value.items()) + b"}"
    if isinstance(value, list):
        return b"[" + b"".join(map(document, value)) + b"]"
    if isinstance(value, str):
        return b"S" + text(value)
    if isinstance(value, bool):
        return b"T" if value else b"F"
    if isinstance(value, int):
        return b"L" + LENGTH.pack(value)
    return b"Z" if value is None else b"d" + struct.pack(">f", value)


floats = b"[$d#L" + LENGTH.pack(3) + struct.pack(">3f", 1, 2, 3)
counted = b"[#i\x02TZ"
typed_object = b"{$i#U\x01" + text("a") + b"\x07"
WHOLE = {
    "empty object": b"{}",
    "array of floats": b"{" + text("weights") + floats + b"}",
    "counted": b"{" + text("a") + counted + text("b") + typed_object + b"}",
    "nested": document({"learner": {"trees": [{"id": 1, "leaf": 0.5}, None, True], "name": "gbtree"}}),
}


def write(folder: Path, data: bytes) -> Path:
    path = folder / "model.ubj"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("data", WHOLE.values(), ids=WHOLE)
def test_a_whole_file_passes(data: bytes, tmp_path: Path) -> None:
    check_whole(write(tmp_path, data))


@pytest.mark.parametrize("data", WHOLE.values(), ids=WHOLE)
def test_a_file_that_was_cut_off_anywhere_is_refused(data: bytes, tmp_path: Path) -> None:
    for length in range(len(data)):
        with pytest.raises(ModelUnusable, match="cut off"):
            check_whole(write(tmp_path, data[:length]))


@pytest.mark.parametrize(
    "data",
    [
        b"{}{}",
        b"[]",
        b"{" + b"L" + LENGTH.pack(-5) + b"}",
        b"{" + text("a") + b"?" + b"}",
        b"{" + text("a") + b"[$d#L" + LENGTH.pack(2**62) + b"}",
        b"{" + (text("a") + b"{") * 100_000,
    ],
    ids=[
        "trailing bytes",
        "no object",
        "negative length",
        "unknown type",
        "lying count",
        "nested too deeply",
    ],
)
def test_a_damaged_file_is_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match="no whole UBJSON file"):
        check_whole(write(tmp_path, data))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(width=32) | st.text("ab"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner, max_size=3),
)


@given(st.dictionaries(st.text("ab"), VALUES, max_size=3))
def test_every_document_passes(tmp_path_factory: pytest.TempPathFactory, value: dict[str, object]) -> None:
    check_whole(write(tmp_path_factory.getbasetemp(), document(value)))


@given(st.binary(max_size=40))
def test_what_follows_the_end_of_a_document_is_refused(
    tmp_path_factory: pytest.TempPathFactory, tail: bytes
) -> None:
    assume(tail)
    with pytest.raises(ModelUnusable, match="cut off"):
        check_whole(write(tmp_path_factory.getbasetemp(), WHOLE["nested"] + tail))


@given(st.binary(max_size=40))
def test_no_bytes_lead_astray(tmp_path_factory: pytest.TempPathFactory, tail: bytes) -> None:
    with suppress(ModelUnusable):
        check_whole(write(tmp_path_factory.getbasetemp(), b"{" + tail))
