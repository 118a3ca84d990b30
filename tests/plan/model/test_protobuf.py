from __future__ import annotations

import io

import pytest
from doubles.models import field
from hypothesis import given
from hypothesis import strategies as st

from ml_containerize.plan.model.protobuf import Message, NotProtobuf


def message(content: bytes) -> Message:
    return Message.whole(io.BytesIO(content))


def test_fields_are_read_with_their_numbers_whatever_their_types() -> None:
    content = field(1, 300) + field(16, "text") + b"\x11" + b"\0" * 8 + b"\x1d" + b"\0" * 4
    assert [number for number, _ in message(content).fields()] == [1, 16, 2, 3]
    assert next(message(content).fields()) == (1, 300)
    assert message(content).text(16) == "text"
    assert message(content).text(17) == ""


def test_a_message_inside_a_message_is_read_where_it_lies() -> None:
    inner = field(2, "place")
    [found] = message(field(1, 1) + field(13, inner)).messages(13)
    assert found.text(2) == "place"
    assert found.read() == inner


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (field(1, "text")[:-1], "cut off"),
        (b"\x80", "cut off"),
        (b"\x09\0", "cut off"),
        (b"\x03", "wire type 3"),
        (b"\x00\x01", "number 0"),
        (b"\x08" + b"\x80" * 10, "longer than 10 bytes"),
    ],
)
def test_what_is_no_message_is_told(content: bytes, why: str) -> None:
    with pytest.raises(NotProtobuf, match=why):
        list(message(content).fields())


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_told_to_be_none(content: bytes) -> None:
    try:
        read = list(message(content).fields())
    except NotProtobuf:
        return
    assert all(number > 0 for number, _ in read)
