"""What an image changes for those who use the previous one, as a part of the summary."""

from __future__ import annotations

from collections.abc import Iterator

from ml_containerize.console import human_size, human_value
from ml_containerize.report.markdown import MAX_ROWS, code, escape, more, table
from ml_containerize.results import Change, Comparison, Differences, Move, Outcome, Scalar


def changed(comparison: Comparison) -> Iterator[str]:
    """One line first, then what was refused, then tables."""
    skipped = comparison.outcome is Outcome.SKIPPED
    yield from ("", f"### Changes: {'not compared' if skipped else escape(comparison.headline)}")
    if comparison.problems:
        yield from ("", *(f"- {escape(problem)}" for problem in comparison.problems))
    if comparison.compared:
        yield from _predictions(comparison)
    if comparison.breaks:
        yield from ("", "What existing clients trip over:", "")
        yield from (f"- {escape(text)}" for text in comparison.breaks)
    if comparison.differences:
        yield from _details(comparison, comparison.differences)
    if comparison.before:
        yield from ("", f"compared with {code(comparison.before)}")
    if comparison.notices:
        yield from ("", *(f"> - {escape(notice)}" for notice in comparison.notices))


def _predictions(comparison: Comparison) -> Iterator[str]:
    moved = comparison.moved
    yield from ("", f"**{len(moved)} of {comparison.compared}** predictions moved")
    if moved:
        yield ""
        head = ("case", "what moved", "at most", "relative", "before", "now")
        yield from table(
            head, [_move_row(move) for move in moved[:MAX_ROWS]], align="---|---|--:|--:|---|---"
        )
        yield from more(len(moved))


def _move_row(move: Move) -> tuple[str, ...]:
    return (
        escape(move.name),
        escape(move.what),
        "" if move.absolute is None else f"{move.absolute:.3g}",
        "" if move.relative is None else f"{move.relative:.1%}",
        code(move.before),
        code(move.after),
    )


def _details(comparison: Comparison, differ: Differences) -> Iterator[str]:
    rows = [
        (part, *_change_row(change)) for part, changes in _parts(comparison, differ) for change in changes
    ]
    size = (human_size(differ.size_before), human_size(differ.size_after))
    rows += [("size", f"{human_size(differ.new_bytes)} in new layers", *size)]
    shown = rows[:MAX_ROWS]
    yield from ("", f"<details><summary>{len(rows)} facts, before and now</summary>", "")
    yield from table(("", "what", "before", "now"), shown)
    yield from (*more(len(rows)), "", "</details>")


def _parts(comparison: Comparison, differ: Differences) -> tuple[tuple[str, tuple[Change, ...]], ...]:
    return (
        ("packages", differ.packages),
        ("model", differ.model),
        ("metrics", differ.metrics),
        ("base", differ.base),
        ("configuration", differ.configuration),
        ("measured", comparison.measured),
        ("labels", differ.labels),
    )


def _change_row(change: Change) -> tuple[str, str, str]:
    return escape(change.name), _value(change.before), _value(change.after)


def _value(value: Scalar) -> str:
    return "—" if value is None else code(human_value(value))
