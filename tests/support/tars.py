"""Tar archives as anybody may have made them, hostile ones too; written by the standard library."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable


def file(name: str, content: bytes = b"", mode: int = 0o644) -> tuple[tarfile.TarInfo, bytes]:
    return _member(name, tarfile.REGTYPE, mode, size=len(content)), content


def folder(name: str, mode: int = 0o755) -> tuple[tarfile.TarInfo, bytes]:
    return _member(name, tarfile.DIRTYPE, mode), b""


def symlink(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return _member(name, tarfile.SYMTYPE, 0o777, target=target), b""


def hardlink(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return _member(name, tarfile.LNKTYPE, 0o644, target=target), b""


def device(name: str, kind: bytes = tarfile.CHRTYPE) -> tuple[tarfile.TarInfo, bytes]:
    return _member(name, kind, 0o666), b""


def tar(
    members: Iterable[tuple[tarfile.TarInfo, bytes]], form: int = tarfile.PAX_FORMAT, end: bool = True
) -> bytes:
    """The members as one archive; `end=False` leaves out the zeros that end it."""
    blocks = []
    for info, content in members:
        blocks += [info.tobuf(form, "utf-8", "surrogateescape"), content, bytes(-len(content) % 512)]
    return b"".join(blocks) + (bytes(1024) if end else b"")


def listed(archive: bytes) -> list[tarfile.TarInfo]:
    """What the standard library reads in an archive."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        return opened.getmembers()


def _member(name: str, kind: bytes, mode: int, *, size: int = 0, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.size, info.linkname, info.mtime = kind, mode, size, target, 1_000_000_000
    return info
