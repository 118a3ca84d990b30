from __future__ import annotations

from typing import Any

import pytest

from ml_containerize.compare.answers import compare_answers
from ml_containerize.results import Answered, CaseResult, Move


def case(*values: Any, name: str = "seven", request: str = "a", **changes: Any) -> CaseResult:
    """A case that was answered with these values."""
    kept = {"status": 200, "form": "f", "count": len(values), "values": values}
    tolerances = {"rtol": changes.pop("rtol", 1e-4), "atol": changes.pop("atol", 1e-6)}
    answered = None if changes.pop("unkept", False) else Answered(**{**kept, **changes})
    return CaseResult(name, True, 1.0, "", f"{values}", request, answered=answered, **tolerances)


def moves(before: CaseResult, after: CaseResult) -> tuple[Move, ...]:
    return compare_answers([before], [after]).moved


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((0.5, 1.0), (0.5, 1.00005)),
        ((0.0,), (1e-7,)),
        ((1, "seven", True, None), (1, "seven", True, None)),
        ((1.0,), (1,)),
    ],
)
def test_within_its_tolerances_an_answer_has_not_moved(before: Any, after: Any) -> None:
    assert moves(case(*before), case(*after)) == ()


def test_a_move_is_told_by_its_largest_size() -> None:
    (move,) = moves(case(0.5, 2.0, 0.0), case(0.5, 2.5, 0.001))
    assert (move.absolute, move.what) == (0.5, "2 of 3 values")


def test_the_relative_size_is_a_share_of_the_larger_value_so_that_none_grows_without_bounds() -> None:
    (move,) = moves(case(1e-30), case(0.25))
    assert (move.absolute, move.relative) == (0.25, 1.0)
    (halved,) = moves(case(2.0), case(1.0))
    assert halved.relative == 0.5


@pytest.mark.parametrize(
    ("before", "after", "size"),
    [(1, 2, (1.0, 0.5)), (0, 3, (3.0, 1.0)), ("a", "b", (None, None)), (1.0, None, (None, None))],
)
def test_integers_texts_and_values_of_another_kind_move_unless_they_are_equal(
    before: Any, after: Any, size: Any
) -> None:
    (move,) = moves(case(before, rtol=0.9), case(after, rtol=0.9))
    assert (move.absolute, move.relative) == size


def test_the_narrower_tolerance_counts_so_that_a_wider_one_hides_nothing() -> None:
    assert moves(case(1.0), case(1.5, rtol=0.9, atol=10.0))
    assert moves(case(1.0, rtol=0.9, atol=10.0), case(1.5))
    assert moves(case(1.0, rtol=0.9), case(1.5, rtol=0.9)) == ()


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"status": 400}, "answered before, now refused with 400"),
        ({"form": "g", "count": 9}, "another form: 1 value before, now 9 values"),
    ],
)
def test_an_answer_of_another_form_has_moved_by_no_size(changes: Any, what: str) -> None:
    (move,) = moves(case(1.0), case(1.0, **changes))
    assert (move.absolute, move.what) == (None, what)


def test_not_a_number_is_no_size() -> None:
    (move,) = moves(case(1.0, 2.0), case("nan", 3.0))
    assert (move.absolute, move.what) == (1.0, "2 of 2 values")


def test_of_a_large_answer_it_is_told_how_much_was_looked_at() -> None:
    (move,) = moves(case(1.0, count=2000), case(2.0, count=2000))
    assert move.what == "1 of 1 value that were kept, of 2000"


def test_requests_are_paired_by_what_is_asked_whatever_their_cases_are_called() -> None:
    before = [case(1.0, name="old name"), case(5.0, name="gone", request="b"), case(0.0, request="")]
    after = [case(2.0, name="new name"), case(7.0, name="new", request="c")]
    found = compare_answers(before, after)
    assert found.compared == 1
    assert [move.name for move in found.moved] == ["new name"]
    assert found.unasked == ("gone",)


def test_an_answer_that_was_not_kept_is_named_and_not_compared() -> None:
    found = compare_answers([case(unkept=True)], [case(1.0)])
    assert (found.compared, found.moved, found.unkept) == (0, (), ("seven",))
