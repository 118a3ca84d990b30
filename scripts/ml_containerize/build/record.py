"""RECORD: the files of an installed distribution, each with its hash and size (PEP 376, PEP 627)."""

from __future__ import annotations

import csv
import hashlib
import io
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Recorded:
    """One line: a path relative to site-packages, its "sha256=…" and its size in bytes, both maybe empty."""

    path: str
    hash: str = ""
    size: str = ""


def read_record(path: Path) -> list[Recorded]:
    with path.open(newline="", encoding="utf-8") as file:
        return [Recorded(*[*row, "", ""][:3]) for row in csv.reader(file) if row]


def write_record(lines: Iterable[Recorded]) -> bytes:
    """The RECORD's text, its lines sorted by path."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows((line.path, line.hash, line.size) for line in sorted(lines, key=lambda line: line.path))
    return text.getvalue().encode()


def recorded(path: str, content: bytes) -> Recorded:
    return Recorded(path, record_hash(content), str(len(content)))


def record_hash(content: bytes) -> str:
    digest = urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"sha256={digest}"
