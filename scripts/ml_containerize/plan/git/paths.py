"""Paths below a repository's root as git writes them, with '.' for the root, and patterns of such paths.

A pattern covers what lies below it, too, as in `.github/CODEOWNERS`. All of it is text, as there are many.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache

Parts = tuple[str, ...]

_ANY_FOLDERS = "**"


def path_pattern(text: str) -> str:
    """A pattern from the repository's root; raises ValueError where it leads out of it or says nothing."""
    plain = text.removeprefix("./").strip("/")
    if not plain or text.startswith("!") or ".." in plain.split("/"):
        raise ValueError(text)
    return plain


def matches(path: str, pattern: str) -> bool:
    """True where the pattern names the path or a folder above it. `**` stands for any folders, also for none.

    >>> matches("models/digits/train.py", "models/*"), matches("common/x.py", "common")
    (True, True)
    >>> matches("requirements-dev.txt", "requirements*"), matches("models/requirements.txt", "requirements*")
    (True, False)
    >>> matches("a/b/c/model.onnx", "**/*.onnx"), matches("model.onnx", "**/*.onnx")
    (True, True)
    """
    return _covers(_parts(pattern), _parts(path))


def first_match(paths: Iterable[str], patterns: Iterable[str]) -> str:
    """The first path that a pattern covers; '' where none does."""
    wanted = [_parts(pattern) for pattern in patterns]
    return next((path for path in paths if _any_covers(wanted, _parts(path))), "")


def parent(path: str) -> str:
    """The folder that a path lies in."""
    return path.rpartition("/")[0] or "."


def upwards(path: str) -> Iterator[str]:
    """The path, and every folder above it up to the root.

    >>> list(upwards("models/digits/model.onnx"))
    ['models/digits/model.onnx', 'models/digits', 'models', '.']
    """
    while path != ".":
        yield path
        path = parent(path)
    yield path


def is_below(path: str, folder: str) -> bool:
    """True for the folder itself, too."""
    return folder in {".", path} or path.startswith(f"{folder}/")


def _any_covers(patterns: Iterable[Parts], parts: Parts) -> bool:
    return any(_covers(wanted, parts) for wanted in patterns)


def _parts(path: str) -> Parts:
    return () if path == "." else tuple(path.split("/"))


def _covers(wanted: Parts, parts: Parts) -> bool:
    if wanted and parts and wanted[0] != _ANY_FOLDERS and not _fits(parts[0], wanted[0]):
        return False  # most of all pairs end here
    at = set(_reached(0, wanted))  # how much of the pattern has been matched, in every way there is
    for part in parts:
        if len(wanted) in at:
            return True
        at = {new for old in at if _fits(part, wanted[old]) for new in _reached(_next(old, wanted), wanted)}
    return len(wanted) in at


def _next(position: int, wanted: Parts) -> int:
    return position if wanted[position] == _ANY_FOLDERS else position + 1


def _reached(position: int, wanted: Parts) -> Iterator[int]:
    """The position, and those that are reached where `**` stands for nothing."""
    yield position
    while position < len(wanted) and wanted[position] == _ANY_FOLDERS:
        position += 1
        yield position


@lru_cache(maxsize=4096)
def _fits(part: str, wanted: str) -> bool:
    return _compiled(wanted).match(part) is not None


@cache
def _compiled(wanted: str) -> re.Pattern[str]:
    """Of `*` and `?` only; brackets stand for themselves, as in many a folder's name."""
    return re.compile(fnmatch.translate(wanted.replace("[", "[[]")))
