from __future__ import annotations

import pytest

from ml_containerize.plan.git.paths import first_match, matches, path_pattern


@pytest.mark.parametrize(
    ("pattern", "covered", "not_covered"),
    [
        (
            "models/digits",
            ["models/digits", "models/digits/train.py"],
            ["models/digits-2", "a/models/digits"],
        ),
        ("models/*", ["models/digits", "models/a/b"], ["models", "other/models"]),
        ("models/**", ["models", "models/digits", "models/a/b"], ["models2/a"]),
        ("models/**/v1/**/x", ["models/v1/x", "models/a/v1/b/c/x/y"], ["models/a/x"]),
        ("**/digits", ["digits", "a/digits", "a/b/digits/x"], ["a/my-digits"]),
        ("*.txt", ["a.txt"], ["a/b.txt", "a.txtx"]),
        ("**/*.txt", ["a.txt", "a/b.txt"], ["a.text"]),
        ("a?c", ["abc"], ["ac", "a/c"]),
        (".", ["anything/at/all", "x", "."], []),
        ("**", ["anything/at/all", "."], []),
        ("*", ["anything/at/all"], ["."]),
        ("we [love] $(models)", ["we [love] $(models)/x"], ["we l $(models)"]),
        ("a\nb", ["a\nb/c"], ["a", "b"]),
    ],
)
def test_a_pattern_covers_a_path_and_what_lies_below_it(
    pattern: str, covered: list[str], not_covered: list[str]
) -> None:
    assert [path for path in covered if not matches(path, pattern)] == []
    assert [path for path in not_covered if matches(path, pattern)] == []


@pytest.mark.parametrize(
    ("text", "pattern"), [("./models/", "models"), ("/models/*", "models/*"), (".", "."), ("a", "a")]
)
def test_a_pattern_starts_at_the_repositorys_root(text: str, pattern: str) -> None:
    assert path_pattern(text) == pattern


@pytest.mark.parametrize("text", ["../other", "a/../b", "/", "!models", ""])
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        path_pattern(text)


def test_the_first_path_that_is_covered_is_told() -> None:
    assert first_match(["a/b", "common/x"], ["docs", "common"]) == "common/x"
    assert first_match(["a/b"], ["docs"]) == ""


def test_a_pattern_of_many_stars_ends_soon() -> None:
    assert not matches("a" * 200 + "/b", "*a" * 12 + "c")
    assert not matches("a/" * 100 + "b", "**/a/" * 50 + "c")
