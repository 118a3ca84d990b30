from __future__ import annotations

import pytest

from ml_containerize.compare.interface import breaks
from ml_containerize.results import Interface, Tensor


def tensors(**specs: object) -> tuple[Tensor, ...]:
    """`tensors(pixels=("FP32", -1, 64))`."""
    return tuple(Tensor(name, spec[0], tuple(spec[1:])) for name, spec in specs.items())  # type: ignore[index]


IMAGE = tensors(image=("FP32", -1, 8, 8))
SCORES = tensors(scores=("FP32", -1, 10))
BEFORE = Interface(IMAGE, SCORES)


@pytest.mark.parametrize(
    "after",
    [
        BEFORE,
        Interface(tensors(image=("FP32", -1, -1, 8)), SCORES),
        Interface(IMAGE, tensors(scores=("FP32", 4, 10))),
    ],
    ids=["the same", "an input takes more sizes", "an output's free size is fixed"],
)
def test_clients_keep_working(after: Interface) -> None:
    assert breaks(BEFORE, after) == ()


@pytest.mark.parametrize(
    ("inputs", "outputs", "told"),
    [
        (tensors(picture=("FP32", -1, 8, 8)), SCORES, "input 'image' is gone; there is 'picture'"),
        (tensors(image=("FP64", -1, 8, 8)), SCORES, "input 'image' was FP32 and is FP64"),
        (tensors(image=("FP32", 1, 8, 8)), SCORES, "had the shape [-1, 8, 8] and has [1, 8, 8]"),
        (tensors(image=("FP32", -1, 9, 8)), SCORES, "had the shape [-1, 8, 8] and has [-1, 9, 8]"),
        (tensors(image=("FP32", -1, 64)), SCORES, "had the shape [-1, 8, 8] and has [-1, 64]"),
        ((*IMAGE, *tensors(mask=("BOOL", -1))), SCORES, "input 'mask' is new"),
        (IMAGE, tensors(logits=("FP32", -1, 10)), "output 'scores' is gone"),
        (IMAGE, tensors(scores=("FP64", -1, 10)), "output 'scores' was FP32 and is FP64"),
        (IMAGE, tensors(scores=("FP32", -1, 11)), "had the shape [-1, 10] and has [-1, 11]"),
        (IMAGE, tensors(scores=("FP32", -1, -1)), "had the shape [-1, 10] and has [-1, -1]"),
        (IMAGE, tensors(scores=("FP32", -1)), "had the shape [-1, 10] and has [-1]"),
        (IMAGE, (*SCORES, *tensors(label=("BYTES", -1))), "answers each row with an object"),
    ],
)
def test_clients_break(inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...], told: str) -> None:
    assert any(told in text for text in breaks(BEFORE, Interface(inputs, outputs)))


def test_one_output_more_beside_several_breaks_nobody() -> None:
    two = Interface(IMAGE, (*SCORES, *tensors(label=("BYTES", -1))))
    three = Interface(IMAGE, (*two.outputs, *tensors(margin=("FP32", -1))))
    assert breaks(two, three) == ()
