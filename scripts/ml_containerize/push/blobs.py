"""An image's blobs on their way to a repository, several at once."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from threading import Event, Lock

from ml_containerize.console import Advance
from ml_containerize.names import Digest, Repository
from ml_containerize.oci.content import Content
from ml_containerize.oci.descriptor import Descriptor
from ml_containerize.oci.registry import RegistryClient
from ml_containerize.oci.uploads import Upload

_AT_ONCE = 4


class _Stopped(BaseException):
    """Another blob failed, or the user interrupted: this one need not go on."""


@dataclass(slots=True)
class Delivery:
    """What became of the blobs that were sent to one repository."""

    uploads: dict[Digest, Upload] = field(default_factory=dict)

    @property
    def sent_bytes(self) -> int:
        return sum(upload.sent_bytes for upload in self.uploads.values())

    def of_kind(self, kind: str) -> tuple[Digest, ...]:
        return tuple(digest for digest, upload in self.uploads.items() if upload.kind == kind)


def deliver(
    client: RegistryClient,
    content: Content,
    blobs: Iterable[Descriptor],
    *,
    neighbours: Iterable[Repository] = (),
    advance: Advance,
) -> Delivery:
    """Bring every blob there, largest first; `neighbours` already have them, and may lend by a mount.

    The first error ends it all, and so does an interruption: what was half sent is in the journal.
    """
    wanted = {blob.digest: blob for blob in blobs}
    ordered = sorted(wanted.values(), key=lambda blob: -blob.size)
    delivery, stop = Delivery(), Event()
    told = _stoppable(advance, stop)
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="upload") as pool:
        started = {
            pool.submit(_send, client, content, blob, _lender(client, content, blob, neighbours), told): blob
            for blob in ordered
        }
        try:
            for future in as_completed(started):
                delivery.uploads[started[future].digest] = future.result()
        except BaseException:
            stop.set()
            client.close()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return delivery


def _send(
    client: RegistryClient, content: Content, blob: Descriptor, lender: Repository | None, advance: Advance
) -> Upload:
    return client.upload(blob, lambda: content.open(blob), mount_from=lender, advance=advance)


def _lender(
    client: RegistryClient, content: Content, blob: Descriptor, neighbours: Iterable[Repository]
) -> Repository | None:
    """A repository in the same registry that has the blob."""
    candidates = [content.repository_of(blob.digest), *neighbours]
    here = client.repository
    same = (one for one in candidates if one and one != here and one.registry == here.registry)
    return next(same, None)


def _stoppable(advance: Advance, stop: Event) -> Advance:
    """Progress for several threads, and the place where they notice that they shall stop."""
    lock = Lock()

    def told(count: int) -> None:
        if stop.is_set():
            raise _Stopped
        with lock:
            advance(count)

    return told
