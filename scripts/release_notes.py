"""`release_notes.py VERSION`: what CHANGELOG.md tells of the version that the code has."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def notes_of(changelog: str, version: str) -> str:
    """The section of a version, without its heading; '' where there is none."""
    section = re.compile(
        rf"^## \[{re.escape(version)}\][^\n]*\n(.*?)(?=^## \[|^\[[^\]]+\]: |\Z)", re.DOTALL | re.MULTILINE
    )
    found = section.search(changelog)
    return found[1].strip() if found else ""


def released_version(package: str) -> str:
    """The version that the package says it has."""
    found = re.search(r'^__version__ = "([^"]+)"', package, re.MULTILINE)
    return found[1] if found else ""


def main(argv: list[str]) -> int:
    (version,) = argv
    has = released_version((ROOT / "scripts" / "ml_containerize" / "__init__.py").read_text("utf-8"))
    notes = notes_of((ROOT / "CHANGELOG.md").read_text("utf-8"), version)
    if version != has:
        sys.exit(f"the code says that it is {has}, and {version} is to be released; set the version first")
    if not notes:
        sys.exit(f"CHANGELOG.md tells nothing of {version}; give what is unreleased this heading first")
    print(notes)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
