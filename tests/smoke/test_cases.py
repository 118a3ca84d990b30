from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ml_containerize.smoke.cases import BadCases, Tolerance, load_cases, parse_case

GOOD: dict[str, Any] = {"request": {"data": [[0.0, 0.5]]}, "expect": {"predictions": [[0.1, 0.9]]}}


def problems_of(content: object) -> tuple[str, ...]:
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    with pytest.raises(BadCases) as caught:
        parse_case("zero", text)
    return caught.value.problems


def test_a_case_without_tolerances_gets_the_default_ones() -> None:
    case = parse_case("zero", json.dumps(GOOD).encode())
    assert case.tolerance == Tolerance(rtol=1e-4, atol=1e-6)
    assert case.status == 200


def test_a_case_written_as_json_reads_back_equal() -> None:
    case = parse_case("zero", json.dumps({**GOOD, "rtol": 0.01, "atol": 0, "status": 422}).encode())
    assert parse_case("zero", json.dumps(case.as_json()).encode()) == case


def test_a_refusal_needs_no_expected_answer() -> None:
    case = parse_case("bad", b'{"request": {"data": "seven"}, "status": 400}')
    assert (case.status, case.expect) == (400, {})


def test_a_file_that_is_not_json_is_named_with_line_and_column() -> None:
    (problem,) = problems_of(b'{"request": {},\n  expect: {}}')
    assert problem.startswith("not JSON at line 2, column 3")


def test_a_file_that_is_not_utf8_is_refused() -> None:
    assert problems_of(b'{"request": "\xff"}') == ("not UTF-8 at byte 13",)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_json_does_not_have_is_refused_with_its_place(number: str) -> None:
    text = f'{{"request": {{"data": [[1, {number}]]}}, "expect": {{"predictions": [[0.5], [{number}]]}}}}'
    places = [problem.split(" is ")[0] for problem in problems_of(text.encode())]
    assert places == ["request.data[0][1]", "expect.predictions[1][0]"]


def test_lists_and_numbers_side_by_side_have_no_shape_and_are_refused() -> None:
    (problem,) = problems_of({**GOOD, "expect": {"predictions": [[0.1], 0.9]}})
    assert problem == "expect.predictions[1] is not a list as expect.predictions[0] is"


def test_every_problem_of_a_file_is_told_at_once() -> None:
    assert problems_of({"reqest": {}, "expect": [], "rtol": -1, "atol": "small", "status": 500}) == (
        "'reqest' is not a key of a smoke case; perhaps you meant 'request'",
        "request is missing: the JSON body that is sent to /predict",
        "status must be 200, or 400 to 499 for a request to refuse, not 500",
        'expect must be an object such as {"predictions": [...]}, not a list',
        "rtol must not be negative, and is -1",
        'atol must be a number, not "small"',
    )


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"expect": {}}, "expect.predictions is missing: what the model must answer"),
        ({"expect": {"predictions": []}}, "expect.predictions is empty and would prove nothing"),
        ({"rtol": 1}, "rtol must be less than 1, and is 1: an answer of all zeros would pass"),
        ({"atol": True}, "atol must be a number, not true"),
        ({"request": [[1.0]]}, 'request must be an object such as {"data": [...]}, not a list'),
    ],
)
def test_a_case_that_would_prove_nothing_is_refused(change: dict[str, Any], problem: str) -> None:
    assert problems_of({**GOOD, **change}) == (problem,)


def test_a_key_given_twice_is_refused() -> None:
    assert problems_of(b'{"request": {}, "rtol": 1, "rtol": 0}') == ("the key 'rtol' is given twice",)


def test_deep_nesting_is_refused_and_not_a_crash() -> None:
    assert "nested too deeply" in problems_of(b"[" * 100_000)[0]


def test_problems_of_all_files_are_told_with_the_file_names(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[]")
    (tmp_path / "b.json").write_text("{")
    with pytest.raises(BadCases) as caught:
        load_cases([tmp_path / "a.json", tmp_path / "b.json", tmp_path / "c.json"])
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["a.json", "b.json", "c.json"]
    assert caught.value.exit_code == 2


def test_cases_are_named_after_their_files_and_folders_where_those_clash(tmp_path: Path) -> None:
    paths = [tmp_path / "x/zero.json", tmp_path / "y/zero.json", tmp_path / "one.json"]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(GOOD))
    assert [case.name for case in load_cases(paths)] == ["x/zero", "y/zero", "one"]
