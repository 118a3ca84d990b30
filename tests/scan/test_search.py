from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_containerize.scan import search
from ml_containerize.scan.search import occurrences, texts_around

NEEDLES = (b"class", b"\\u0")


def found(content: bytes) -> list[tuple[int, bytes]]:
    return list(occurrences(NEEDLES, io.BytesIO(content)))


def test_every_needle_is_found_with_its_place() -> None:
    assert found(b"a class and \\u0 and class") == [(2, b"class"), (12, b"\\u0"), (20, b"class")]
    assert found(b"") == []


@pytest.mark.parametrize("needle", NEEDLES)
@pytest.mark.parametrize("shift", range(-6, 2))
def test_a_needle_across_the_border_of_two_pieces_is_found_once(shift: int, needle: bytes) -> None:
    place = search._PIECE + shift
    content = bytes(place) + needle + bytes(search._PIECE) + needle
    assert found(content) == [(place, needle), (len(content) - len(needle), needle)]


@given(st.lists(st.sampled_from([b"\0", b"class", b"{x}", b"\\u0", b"text"]), max_size=30))
def test_the_texts_around_needles_are_the_texts_between_nuls_that_hold_one(parts: list[bytes]) -> None:
    content = b"".join(parts)
    expected = [text for text in content.split(b"\0") if any(needle in text for needle in NEEDLES)]
    assert list(texts_around(NEEDLES, io.BytesIO(content), 10_000)) == expected


def test_a_long_text_is_read_whole_up_to_a_bound() -> None:
    text = b"x" * 200_000 + b"class" + b"y" * 300_000
    content = b"before\0" + text + b"\0after"
    assert list(texts_around(NEEDLES, io.BytesIO(content), 10**6)) == [text]
    (part,) = texts_around(NEEDLES, io.BytesIO(content), 1000)
    assert part == b"x" * 1000 + b"class" + b"y" * 995
