"""The pinned trivy: downloaded once, checked against its SHA-256 before anything looks inside, then kept."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO

from ml_containerize.errors import EnvironmentMissing
from ml_containerize.scan.release import Archive

Fetch = Callable[[str], Iterator[bytes]]  # a URL's content in pieces; raises OSError
Sleep = Callable[[float], None]

_MEMBER = "trivy"
_PIECE = 2**20
_LARGEST = 512 * 2**20  # bytes; trivy's archives are about 50 MiB
_ATTEMPTS = 3
_TIMEOUT = (10, 60)  # seconds: to connect, between two pieces


class ScannerUnreachable(EnvironmentMissing):
    """Trivy could not be downloaded."""

    def __init__(self, archive: Archive, why: str) -> None:
        super().__init__(
            f"Could not download trivy {archive.version} from {archive.url}: {why}",
            "Check the network, or install trivy and name it with `trivy-path`.",
        )


class WrongScanner(EnvironmentMissing):
    """What was downloaded is not the pinned archive."""

    def __init__(self, archive: Archive, found: str, size: int) -> None:
        super().__init__(
            f"{archive.url} is not the pinned archive: its {size} bytes have the SHA-256 {found}, "
            f"not {archive.sha256}",
            "Nothing was unpacked. Try again if it was cut short; otherwise do not trust where it came from.",
        )


class UnusableScanner(EnvironmentMissing):
    """The archive has the right hash, but no program in it."""

    def __init__(self, archive: Archive) -> None:
        super().__init__(
            f"{archive.url} holds no regular file named {_MEMBER!r}",
            "Give `trivy-sha256` of a trivy release's .tar.gz archive.",
        )


def fetch(url: str) -> Iterator[bytes]:
    """Stream a URL's content; raises OSError (which requests' errors are)."""
    import requests

    with requests.get(url, stream=True, timeout=_TIMEOUT) as response:
        response.raise_for_status()
        yield from response.iter_content(_PIECE)


def ensure(archive: Archive, folder: Path, fetch: Fetch = fetch, sleep: Sleep = time.sleep) -> Path:
    """The program of this archive in `folder`, downloaded if it is not there yet."""
    program = folder / f"trivy-{archive.version}-{archive.sha256[:16]}"
    if not program.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as downloaded:
            _download(archive, downloaded, fetch, sleep)
            _unpack(archive, downloaded, program)
    return program


def _download(archive: Archive, into: BinaryIO, fetch: Fetch, sleep: Sleep) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        into.seek(0)
        into.truncate()
        try:
            found, size = _copy(fetch(archive.url), into)
        except OSError as error:
            if attempt == _ATTEMPTS:
                raise ScannerUnreachable(archive, str(error)) from error
            sleep(2**attempt)
            continue
        if found != archive.sha256:
            raise WrongScanner(archive, found, size)
        return


def _copy(pieces: Iterator[bytes], into: BinaryIO) -> tuple[str, int]:
    """Write the pieces, up to a bound that no release comes near; their SHA-256 and size."""
    sha256, size = hashlib.sha256(), 0
    for piece in pieces:
        sha256.update(piece)
        into.write(piece)
        size += len(piece)
        if size > _LARGEST:
            break
    return sha256.hexdigest(), size


def _unpack(archive: Archive, downloaded: BinaryIO, program: Path) -> None:
    """Take the one file out of the archive; it appears under its name only when it is complete."""
    downloaded.seek(0)
    descriptor, name = tempfile.mkstemp(dir=program.parent)
    partial = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file, _member(archive, downloaded) as content:
            shutil.copyfileobj(content, file, _PIECE)
        partial.chmod(0o755)
        partial.replace(program)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def _member(archive: Archive, downloaded: BinaryIO) -> Iterator[IO[bytes]]:
    try:
        with tarfile.open(fileobj=downloaded, mode="r:gz") as tar:
            member = tar.getmember(_MEMBER)
            content = tar.extractfile(member) if member.isreg() else None
            if content is None:
                raise UnusableScanner(archive)
            with content:
                yield content
    except (tarfile.TarError, KeyError, EOFError, zlib.error) as error:
        raise UnusableScanner(archive) from error
