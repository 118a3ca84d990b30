"""Where half-done uploads are remembered, so that a later run can go on with them: one small file each."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from ml_containerize.names import Digest, Repository
from ml_containerize.oci.descriptor import Descriptor

_WORTH_IT = 4 << 20  # bytes
_FORGET_AFTER = 7 * 24 * 3600.0  # seconds; registries drop unfinished uploads sooner


@dataclass(slots=True)
class JournalEntry:
    """One upload's place at the registry, "" where there is none; nothing is kept without a descriptor."""

    location: str = ""
    _file: int | None = None

    def save(self, location: str) -> None:
        self.location = location
        self._write(json.dumps({"location": location}).encode() if location else b"")

    def clear(self) -> None:
        self.save("")

    def _write(self, content: bytes) -> None:
        if self._file is not None:
            with suppress(OSError):  # a journal that cannot be kept costs a resume, not the push
                os.ftruncate(self._file, 0)
                os.pwrite(self._file, content, 0)


@dataclass(frozen=True, slots=True)
class Journal:
    """A folder of entries, private to the user: a location may carry the right to write to it."""

    folder: Path | None

    @contextmanager
    def entry(self, repository: Repository, blob: Descriptor) -> Iterator[JournalEntry]:
        """The entry for one blob on its way to one repository; a small blob has none, it is soon sent again.

        Another process that is at the same upload holds its lock; this one then makes an upload of its own.
        """
        path = self._path(repository, blob.digest)
        file = self._lock(path) if blob.size > _WORTH_IT else None
        entry = JournalEntry(_read(file), file)
        try:
            yield entry
        finally:
            if file is not None:
                if not entry.location:
                    path.unlink(missing_ok=True)
                os.close(file)

    def _path(self, repository: Repository, digest: Digest) -> Path:
        name = sha256(f"{repository}@{digest}".encode()).hexdigest()
        return (self.folder or Path()) / f"{name[:40]}.json"

    def _lock(self, path: Path) -> int | None:
        if not self.folder:
            return None
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(file)
                raise
            return file
        return None

    def sweep(self) -> None:
        """Forget what nobody came back for."""
        for path in self.folder.glob("*.json") if self.folder else ():
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > _FORGET_AFTER:
                    path.unlink()


def _read(file: int | None) -> str:
    if file is None:
        return ""
    with suppress(ValueError, KeyError, TypeError):
        return str(json.loads(os.pread(file, 1 << 16, 0))["location"])
    return ""
