"""GitHub's Markdown, written so that text from outside stays text: no HTML, links, mentions or new cells.

https://github.github.com/gfm/ · GitHub links `@name` and `#1` after Markdown was read, so an entity alone
does not stop it: a zero-width space behind the sign does, and so does code.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ml_containerize.console import printable
from ml_containerize.results import Finding

MAX_ROWS = 50

_SIGNS = "&\\`*_[]<>|~$"
_ENTITIES = {ord(char): f"&#{ord(char)};" for char in _SIGNS}
_LINKING = {ord(char): f"&#{ord(char)};&#8203;" for char in "@#"}
_NOT_IN_BACKTICKS = set("`|\\#")


def escape(text: str) -> str:
    """Text from outside as plain Markdown table text."""
    return _line(text).translate(_ENTITIES | _LINKING).replace("://", "&#58;//").replace("::", "&#58;:")


def code(text: str) -> str:
    """Text from outside as inline code, also inside a table."""
    clean = _line(text)
    if _NOT_IN_BACKTICKS & set(clean):
        return f"<code>{clean.translate(_ENTITIES | _LINKING)}</code>"
    return f"`{clean}`" if clean else ""


def quoted(text: str) -> str:
    """Lines from outside, to stand behind a `>`."""
    return "<br>".join(escape(line) for line in text.splitlines())


def shortened(text: str, length: int) -> str:
    """The text, or its beginning and an ellipsis: `length` characters at most."""
    return text if len(text) <= length else text[: length - 1] + "…"


def fitting(parts: Iterable[str], room: int) -> list[str]:
    """As many parts from the first on as fit into `room` bytes, a newline behind each."""
    kept: list[str] = []
    for part in parts:
        room -= len(part.encode()) + 1
        if room < 0:
            break
        kept.append(part)
    return kept


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, align: str = "") -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{align or '|'.join(['---'] * len(head))}|"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def more(count: int, shown: int = MAX_ROWS) -> Iterator[str]:
    """What to say below a table of `shown` rows at most."""
    if count > shown:
        yield from ("", f"… and {count - shown} more in `result.json`")


def finding_rows(findings: Sequence[Finding], shown: int = MAX_ROWS) -> list[tuple[str, ...]]:
    """Id, package, installed and fixed version, severity."""
    return [
        (
            _linked(f),
            escape(f.package),
            escape(f.installed),
            escape(f.fixed) or "—",
            escape(f.severity.lower()),
        )
        for f in findings[:shown]
    ]


def _linked(finding: Finding) -> str:
    url = finding.url
    safe = url.startswith("https://") and url.isprintable() and not set(url) & set(' <>()[]|"\\`')
    return f"[{escape(finding.id)}]({url})" if safe else escape(finding.id)


def _line(text: str) -> str:
    return printable(" ".join(text.split()))
