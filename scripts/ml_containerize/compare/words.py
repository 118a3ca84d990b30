"""A comparison in words: one line first, then what stands behind it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ml_containerize.console import human_size, human_value
from ml_containerize.results import Change, Comparison, Differences, Move

_NAMED = 3  # packages or metrics that the one line names


def headline(differ: Differences) -> str:
    """The whole in one line: `numpy 2.4.5 → 2.4.6, model unchanged, +3.1 MiB`."""
    parts = [
        *_few("package", differ.packages),
        *(["other builds of the same packages"] if _rebuilt(differ) else []),
        *_base(differ),
        *(["serving changed"] if "serving" in differ.layers else []),
        *_model(differ),
        *(["configuration changed"] if differ.configuration else []),
        size_words(differ),
    ]
    return ", ".join(parts)


def change_words(change: Change) -> str:
    """`numpy 2.4.5 → 2.4.6`, `numpy 2.4.6 added`, `numpy 2.4.5 removed`."""
    if change.before is None:
        return f"{change.name} {human_value(change.after)} added"
    if change.after is None:
        return f"{change.name} {human_value(change.before)} removed"
    return f"{change.name} {human_value(change.before)} → {human_value(change.after)}"


def move_words(move: Move) -> str:
    """`seven: 3 of 10 values moved, by 0.25 at most (12 %)`."""
    if move.absolute is None:
        return f"{move.name}: {move.what}"
    relative = f" ({move.relative:.1%})" if move.relative is not None else ""
    return f"{move.name}: {move.what} moved, by {move.absolute:.3g} at most{relative}"


def size_words(differ: Differences) -> str:
    """`+3.1 MiB`, `-210 B`, `same size`."""
    grown = differ.size_after - differ.size_before
    return f"{'+' if grown > 0 else '-'}{human_size(abs(grown))}" if grown else "same size"


def as_text(comparison: Comparison) -> str:
    """The comparison for people who read it on a terminal."""
    return "\n".join((comparison.headline, *_sections(comparison)))


def _few(what: str, changes: Sequence[Change]) -> list[str]:
    if len(changes) > _NAMED:
        return [f"{len(changes)} {what}s changed"]
    return [change_words(change) for change in changes]


def _rebuilt(differ: Differences) -> bool:
    return "packages" in differ.layers and not differ.packages


def _base(differ: Differences) -> list[str]:
    names = [change for change in differ.base if change.name == "name"]
    if names:
        return [f"base {human_value(names[0].before)} → {human_value(names[0].after)}"]
    return ["base updated"] if differ.base or "base" in differ.layers else []


def _model(differ: Differences) -> list[str]:
    if any(change.name == "hash" for change in differ.model):
        return ["model changed", *_few("metric", differ.metrics)]
    return ["model unchanged", *_few("metric", differ.metrics)]


def _sections(comparison: Comparison) -> Iterator[str]:
    yield f"  compared with {comparison.before}"
    if differ := comparison.differences:
        for title, changes in sections(differ, comparison.measured):
            yield from (title, *(f"  {change_words(change)}" for change in changes))
        yield "size"
        yield (
            f"  {human_size(differ.size_before)} → {human_size(differ.size_after)}, "
            f"{human_size(differ.new_bytes)} in layers that are new"
        )
    if comparison.compared:
        yield "predictions"
        yield f"  {len(comparison.moved)} of {comparison.compared} cases moved"
        yield from (f"  {move_words(move)}" for move in comparison.moved)
    if comparison.breaks:
        yield from ("interface", *(f"  {text}" for text in comparison.breaks))
    yield from (f"note: {notice}" for notice in comparison.notices)


def sections(
    differ: Differences, measured: Sequence[Change] = ()
) -> tuple[tuple[str, tuple[Change, ...]], ...]:
    """Title and changes of each part in which anything changed."""
    parts = (
        ("model", differ.model),
        ("metrics", differ.metrics),
        ("packages", differ.packages),
        ("base", differ.base),
        ("configuration", differ.configuration),
        ("labels", differ.labels),
        ("measured", tuple(measured)),
    )
    return tuple((title, changes) for title, changes in parts if changes)
