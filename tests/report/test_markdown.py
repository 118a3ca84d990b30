from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from ml_containerize.report.markdown import code, escape, shortened, table

GITHUB = MarkdownIt("gfm-like", {"linkify": False})


def cells(row: tuple[str, ...]) -> tuple[list[str], str]:
    """The texts of a row's cells as a reader sees them, and the whole table's HTML."""
    tokens = GITHUB.parse("\n".join(table([""] * len(row), [row])))
    inline = [token for token in tokens if token.type == "inline"][len(row) :]
    texts = ["".join(child.content for child in token.children or ()) for token in inline]
    return texts, GITHUB.render("\n".join(table([""] * len(row), [row])))


def test_text_from_outside_cannot_become_markup() -> None:
    hostile = "<img src=x> [a](javascript:1) | `b` @org/team #1 **x** https://x.example $y$\n## heading"
    escaped = escape(hostile)
    assert not set("<>[]|`@*$") & set(escaped)
    assert "\n" not in escaped
    assert "://" not in escaped


def test_no_line_reads_as_a_command_of_the_workflow() -> None:
    assert escape("::error::no") == "&#58;:error&#58;:no"


def test_nobody_is_mentioned_and_no_issue_is_linked() -> None:
    assert escape("@ada #1") == "&#64;&#8203;ada &#35;&#8203;1"


def test_code_is_written_with_backticks_unless_it_could_leave_them() -> None:
    assert code("main\nnext") == "`main next`"
    assert code("[0.1, 0.9]") == "`[0.1, 0.9]`"
    assert code("a`b|c") == "<code>a&#96;b&#124;c</code>"
    assert code("") == ""


@given(st.text(), st.text())
def test_whatever_a_cell_holds_the_row_keeps_its_cells(one: str, other: str) -> None:
    texts, html = cells((escape(one), code(other) or "—"))
    assert len(texts) == 2
    assert html.count("<td") == 2
    assert not any(tag in html for tag in ("<img", "<a ", "<script", "<strong"))


def test_a_backslash_before_a_bar_does_not_open_a_cell() -> None:
    texts, html = cells((code("\\| <img src=x>"), "next"))
    assert texts[1] == "next"
    assert "<img" not in html


@given(st.text())
def test_no_line_can_be_read_as_a_command_by_the_runner(text: str) -> None:
    for written in (f"- {escape(text)}", f"| {code(text)} |"):
        assert not any(line.lstrip().startswith("::") for line in written.splitlines())
        assert "##[" not in written


def test_what_is_too_long_is_cut_where_it_says_so() -> None:
    assert shortened("abc", 3) == "abc"
    assert shortened("abcd", 3) == "ab…"
