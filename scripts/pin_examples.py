"""`pin_examples.py COMMIT VERSION`: let the examples of README and docs use that commit of this action."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

_USED = re.compile(
    r"(uses: org/ml-containerize(?:/\.github/workflows/[\w-]+\.yml)?)"
    r"@(?:v[0-9][\w.]*|[0-9a-f]{40})(?: # v[\w.]+)?"
)


def pin(text: str, commit: str, version: str) -> str:
    """The text with every use of this action and its workflows at `commit`, and the version as a comment.

    >>> pin("- uses: org/ml-containerize@v1", "ab" * 20, "1.2.3")
    '- uses: org/ml-containerize@abababababababababababababababababababab # v1.2.3'
    """
    return _USED.sub(rf"\1@{commit} # v{version}", text)


def pages(root: Path) -> list[Path]:
    """Where examples stand that people copy."""
    return [root / "README.md", *sorted((root / "docs").rglob("*.md"))]


def main(argv: list[str]) -> int:
    commit, version = argv
    if not re.fullmatch(r"[0-9a-f]{40}", commit) or not re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", version):
        sys.exit("usage: pin_examples.py COMMIT VERSION, such as 5c0f…(40 digits) 1.2.3")
    for page in pages(ROOT):
        page.write_text(pin(page.read_text("utf-8"), commit, version), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
