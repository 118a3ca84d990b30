"""Finding bytes in large files, with memory that does not grow with them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import BinaryIO

_PIECE = 8 * 2**20  # bytes read at a time


def occurrences(needles: Sequence[bytes], stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """The position of every needle in the stream, in order, and which it is."""
    pattern = re.compile(b"|".join(map(re.escape, needles)))
    overlap = max(map(len, needles)) - 1
    start, kept, position = 0, b"", 0
    while piece := _read(stream, position):
        window = kept + piece
        for match in pattern.finditer(window):
            if start + match.end() > position:  # not wholly in what the last window had
                yield start + match.start(), match.group()
        position += len(piece)
        kept = window[len(window) - min(overlap, len(window)) :]
        start = position - len(kept)


def _read(stream: BinaryIO, position: int) -> bytes:
    """Read at a position, because whoever handles an occurrence may read elsewhere in between."""
    stream.seek(position)
    return stream.read(_PIECE)


def texts_around(needles: Sequence[bytes], stream: BinaryIO, largest: int) -> Iterator[bytes]:
    """Every text between two NUL bytes that holds a needle, up to `largest` bytes before and after it."""
    seen = 0
    for position, _ in occurrences(needles, stream):
        if position < seen:
            continue
        start, seen = _start(position, stream, largest), _end(position, stream, largest)
        stream.seek(start)
        yield stream.read(seen - start)


def _start(position: int, stream: BinaryIO, largest: int) -> int:
    """Behind the last NUL byte before a position, looking back in growing steps."""
    for size in _steps(min(position, largest)):
        stream.seek(position - size)
        found = stream.read(size).rfind(b"\0")
        if found >= 0:
            return position - size + found + 1
    return position - min(position, largest)


def _end(position: int, stream: BinaryIO, largest: int) -> int:
    """The next NUL byte after a position, or the stream's end."""
    length = 0
    for size in _steps(largest):
        stream.seek(position)
        text = stream.read(size)
        found, length = text.find(b"\0"), len(text)
        if found >= 0:
            return position + found
    return position + length


def _steps(largest: int) -> Iterator[int]:
    size = 2**16
    while size < largest:
        yield size
        size *= 8
    yield largest
