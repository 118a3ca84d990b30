"""The README and the pages of docs/, with their code blocks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

_BLOCK = re.compile(
    r"^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block."""

    page: Path
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}: {self.text.splitlines()[0]}"

    @property
    def is_workflow(self) -> bool:
        """A whole workflow of GitHub's, no part of one and no config file."""
        return self.language == "yaml" and "\njobs:\n" in f"\n{self.text}"

    def commands(self) -> list[str]:
        """What a person types, without the prompt."""
        return [line[2:] for line in self.text.splitlines() if line.startswith("$ ")]


def blocks(language: str) -> list[Block]:
    """Every block of a language, in the order of the pages."""
    return [
        Block(page, language, found["text"])
        for page in PAGES
        for found in _BLOCK.finditer(page.read_text())
        if found["language"] == language
    ]


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return _BLOCK.sub("", page.read_text())


def anchors(page: Path) -> set[str]:
    """What GitHub names a page's headings: lower case, without punctuation, spaces as hyphens."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
