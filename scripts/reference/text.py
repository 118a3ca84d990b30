"""Text for Markdown tables."""

from __future__ import annotations

import re

NOTE = "<!-- Written by `make generate`; change what it is made of. -->\n"


def cell(text: str) -> str:
    """Markdown for a table's cell."""
    return text.replace("%%", "%").replace("|", "\\|").replace("\n", " ")


def prose(text: str) -> str:
    """Plain text for a table's cell: outside of code, nothing of it is Markdown or HTML."""
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()))
    return "".join(cell(part) if part.startswith("`") else _escaped(part) for part in parts)


def _escaped(text: str) -> str:
    return re.sub(r"([<>*_|\\[\]])", r"\\\1", text)
