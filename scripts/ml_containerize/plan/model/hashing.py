"""Hashing the model: each file is read once, large ones on two cores."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path, PurePosixPath
from threading import Event, Lock

from ml_containerize.console import Advance
from ml_containerize.errors import PlanError
from ml_containerize.names import Digest, ModelHash
from ml_containerize.oci.layers import file_frame
from ml_containerize.plan.model.files import FoundFile
from ml_containerize.plan.model.lfs import POINTER_LIMIT, refuse_pointer
from ml_containerize.plan.model.model import (
    MODEL_FOLDER,
    OWN_LAYER_SIZE,
    FileIdentity,
    Format,
    Model,
    ModelFile,
)
from ml_containerize.plan.model.unusable import UnreadableModel

BLOCK = 2**20  # bytes; a block fits into a core's cache
WORKERS = 2

_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r"})


class ModelChanged(PlanError):
    """A file of the model was written to while it was hashed."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} changed while it was hashed", "Let what writes it finish, then run again.")


def hash_model(root: Path, format_: Format, found: Sequence[FoundFile], advance: Advance) -> Model:
    """Hash the files; `advance` counts their bytes. Raises ModelChanged, UnreadableModel or LfsPointer."""
    count = _Count(advance)
    with ThreadPoolExecutor(WORKERS, "hash") as pool:
        try:
            # Threads only slow small files down: their time is Python's own, which one core runs at a time.
            large = [pool.submit(_hash_large, file, count) for file in found if file.size >= BLOCK]
            files = [_hash_small(file, count) for file in found if file.size < BLOCK]
            files += [future.result() for future in large]
        except BaseException:
            count.stopped.set()
            raise
    by_path = {str(file.path): file for file in files}
    ordered = tuple(by_path[file.path] for file in found)
    return Model(root, format_, ordered, model_hash(ordered))


def model_hash(files: Iterable[ModelFile]) -> ModelHash:
    """SHA-256 over what coreutils' `sha256sum` prints of the files, sorted by path."""
    lines = "".join(sum_line(file.sha256, str(file.path)) for file in files)
    return ModelHash(hashlib.sha256(lines.encode()).hexdigest())


def sum_line(digest: Digest, path: str) -> str:
    """`<sha256>  <path>\\n`; a backslash leads where the path needs escapes, as `sha256sum` has it."""
    escaped = path.translate(_ESCAPES)
    return f"{'' if escaped == path else chr(92)}{digest.hex}  {escaped}\n"


@dataclass(slots=True)
class _Count:
    """Counts for all threads, and ends them all once one has failed."""

    advance: Advance
    lock: Lock = field(default_factory=Lock)
    stopped: Event = field(default_factory=Event)

    def __call__(self, count: int) -> None:
        if self.stopped.is_set():
            raise InterruptedError
        with self.lock:
            self.advance(count)


def _hash_small(found: FoundFile, advance: Advance) -> ModelFile:
    """One read; a hundred thousand such files make every call count."""
    try:
        handle = os.open(found.source, os.O_RDONLY | os.O_CLOEXEC)
        try:
            before = os.fstat(handle)
            content = os.read(handle, BLOCK)
        finally:
            os.close(handle)
    except OSError as error:
        raise UnreadableModel(Path(found.source), error) from error
    if len(content) != before.st_size:
        raise ModelChanged(found.source)
    refuse_pointer(found.source, content[:POINTER_LIMIT])
    advance(len(content))
    return _unchanged(found, before, Digest.of(content), None)


def _hash_large(found: FoundFile, advance: Advance) -> ModelFile:
    try:
        with open(found.source, "rb", buffering=0) as stream:  # noqa: PTH123
            before = os.fstat(stream.fileno())
            blocks = _blocks(stream, before.st_size, advance)
            if before.st_size < OWN_LAYER_SIZE:
                sha256, layer = _one_digest(blocks), None
            else:
                frame = file_frame(str(MODEL_FOLDER / found.path), before.st_size)
                sha256, layer = _two_digests(blocks, frame)
    except OSError as error:
        raise UnreadableModel(Path(found.source), error) from error
    return _unchanged(found, before, sha256, layer)


def _unchanged(found: FoundFile, before: os.stat_result, sha256: Digest, layer: Digest | None) -> ModelFile:
    """The file as it was hashed; raises ModelChanged where it is not what it was before."""
    identity, now = identify(before), identify(os.stat(found.source))  # noqa: PTH116
    if identity != now:
        raise ModelChanged(found.source)
    path = PurePosixPath(found.path)
    return ModelFile(path, Path(found.source), before.st_size, sha256, layer, identity)


def identify(status: os.stat_result) -> FileIdentity:
    return FileIdentity(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _one_digest(blocks: Iterable[memoryview]) -> Digest:
    content = hashlib.sha256()
    for block in blocks:
        content.update(block)
    return Digest(content.hexdigest())


def _two_digests(blocks: Iterable[memoryview], frame: tuple[bytes, bytes]) -> tuple[Digest, Digest]:
    """The content's digest, and on another core that of its layer: the content between `frame`."""
    head, tail = frame
    content, layer = hashlib.sha256(), hashlib.sha256(head)
    with ThreadPoolExecutor(1, "layer") as other:
        pending = other.submit(layer.update, b"")
        for block in blocks:
            pending.result()  # the next block is read into the buffer that this one was hashed from
            pending = other.submit(layer.update, block)
            content.update(block)
    layer.update(tail)
    return Digest(content.hexdigest()), Digest(layer.hexdigest())


def _blocks(stream: FileIO, size: int, advance: Advance) -> Iterator[memoryview]:
    """`size` bytes in blocks, through two buffers: a block stays untouched while the next one is read.

    A file that grows meanwhile is read no further; its status tells that it changed.
    """
    buffers = [memoryview(bytearray(BLOCK)), memoryview(bytearray(BLOCK))]
    while size and (count := stream.readinto(buffers[0][:size])):
        size -= count
        advance(count)
        yield buffers[0][:count]
        buffers.reverse()
