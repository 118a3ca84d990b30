"""Patterns of paths in a repository, as `.github/CODEOWNERS` and `.gitignore` have them, without negation."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

_TOKENS = re.compile(r"\*\*/|\*\*|\*|\?|[^*?]+")
_MEANINGS = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def path_pattern(text: str) -> str:
    """A pattern from the repository's root; raises ValueError where it leads out of it or says nothing."""
    plain = text.removeprefix("./").strip("/")
    if not plain or text.startswith("!") or ".." in plain.split("/"):
        raise ValueError(text)
    return plain


def matches(path: str, pattern: str) -> bool:
    """True where the pattern names the path or a folder above it.

    >>> matches("models/digits/train.py", "models/*"), matches("common/x.py", "common")
    (True, True)
    >>> matches("requirements-dev.txt", "requirements*"), matches("models/requirements.txt", "requirements*")
    (True, False)
    >>> matches("a/b/c/model.onnx", "**/*.onnx"), matches("model.onnx", "**/*.onnx")
    (True, True)
    """
    return bool(_compiled(pattern).fullmatch(path))


def first_match(paths: Iterable[str], patterns: Iterable[str]) -> str:
    """The first path that a pattern covers; '' where none does."""
    known = tuple(patterns)
    return next((path for path in paths if any(matches(path, pattern) for pattern in known)), "")


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    if pattern == ".":
        return re.compile(r".*", re.DOTALL)
    body = "".join(_MEANINGS.get(token) or re.escape(token) for token in _TOKENS.findall(pattern))
    return re.compile(f"{body}(?:/.*)?", re.DOTALL)
