from __future__ import annotations

from typing import Any

import pytest

from ml_containerize.oci.image import Image
from ml_containerize.push.differences import explain


def test_a_base_that_moved_is_told_once(image: Image, make_image: Any) -> None:
    (told,) = explain(image, make_image(base=b"other"))
    assert told.startswith("the base image (sha256:")
    assert ", now sha256:" in told


def test_the_bases_name_is_told_where_it_is_known(make_image: Any) -> None:
    named = {"org.opencontainers.image.base.name": "python:3.12-slim"}
    (told,) = explain(make_image(**named), make_image(base=b"other", **named))
    assert told.startswith("the base image python:3.12-slim (")


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ({"packages": b"other"}, "the packages (lock file)"),
        ({"serving": b"other"}, "the serving code"),
        ({"model": b"other"}, "the model's layers (the tool's version)"),
        ({"team": "vision"}, "the labels team"),
    ],
)
def test_each_part_has_its_words(image: Image, make_image: Any, part: Any, told: str) -> None:
    assert explain(image, make_image(**part)) == (told,)


def test_several_parts_are_all_told(image: Image, make_image: Any) -> None:
    assert len(explain(image, make_image(base=b"x", packages=b"y", serving=b"z", team="v"))) == 4


def test_a_difference_without_a_name_is_told_as_such(image: Image) -> None:
    assert explain(image, image) == ("the rest of the configuration (the tool's version)",)
