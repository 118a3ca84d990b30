"""Whether clients that work with one interface keep working with another.

Inputs may come to take more and there may come to be more outputs, not the other way round: all inputs have
to be sent, and clients read the outputs that they know.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ml_containerize.results import Interface, Tensor

FREE = -1  # a size that the request chooses


def breaks(before: Interface, after: Interface) -> tuple[str, ...]:
    """What clients of `before` trip over, in words; nothing where they notice nothing."""
    return (*_inputs(before.inputs, after.inputs), *_outputs(before.outputs, after.outputs))


def _inputs(before: Sequence[Tensor], after: Sequence[Tensor]) -> Iterator[str]:
    known = {tensor.name: tensor for tensor in before}
    yield from _gone("input", before, after)
    for tensor in after:
        old = known.get(tensor.name)
        if old is None:
            yield f"input {tensor.name!r} is new, and every request has to send it"
        else:
            yield from _changed("input", old, tensor, narrower=_takes_less(old.shape, tensor.shape))


def _outputs(before: Sequence[Tensor], after: Sequence[Tensor]) -> Iterator[str]:
    known = {tensor.name: tensor for tensor in before}
    yield from _gone("output", before, after)
    for tensor in after:
        if old := known.get(tensor.name):
            yield from _changed("output", old, tensor, narrower=_gives_other(old.shape, tensor.shape))
    if len(before) == 1 < len(after):
        yield f"there are {len(after)} outputs now: /predict answers each row with an object, not a value"


def _gone(kind: str, before: Sequence[Tensor], after: Sequence[Tensor]) -> Iterator[str]:
    left = [tensor.name for tensor in after]
    for tensor in before:
        if tensor.name not in left:
            yield f"{kind} {tensor.name!r} is gone; there is {', '.join(map(repr, left)) or 'none'}"


def _changed(kind: str, old: Tensor, new: Tensor, *, narrower: bool) -> Iterator[str]:
    if old.datatype != new.datatype:
        yield f"{kind} {old.name!r} was {old.datatype} and is {new.datatype}"
    if narrower:
        yield f"{kind} {old.name!r} had the shape {list(old.shape)} and has {list(new.shape)}"


def _takes_less(before: Sequence[int], after: Sequence[int]) -> bool:
    """True where a request that fitted fits no more."""
    if len(before) != len(after):
        return True
    return any(new not in {FREE, old} for old, new in zip(before, after, strict=True))


def _gives_other(before: Sequence[int], after: Sequence[int]) -> bool:
    """True where an answer no longer has the sizes that were promised."""
    if len(before) != len(after):
        return True
    return any(old not in {FREE, new} for old, new in zip(before, after, strict=True))
