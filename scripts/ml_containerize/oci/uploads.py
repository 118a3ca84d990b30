"""One blob on its way to a registry (OCI distribution specification, "Pushing blobs").

Small blobs go in one `PUT`. Larger ones go in one streamed `PATCH`, as Docker, podman and crane send them,
and a `PUT` that names the digest: only after it does the blob exist. When a connection breaks, or a run was
killed, the registry is asked how much it has (`GET` on the upload's location) and the rest is sent. Not every
registry can say: the Distribution project's (2.8 was tried) drops an upload that broke off inside a request;
then the blob is sent anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Literal
from urllib.parse import urlencode, urlsplit, urlunsplit

from ml_containerize.console import Advance
from ml_containerize.errors import ContainerizeError, PushError
from ml_containerize.names import Digest, Repository
from ml_containerize.oci.authentication import repository_scopes
from ml_containerize.oci.descriptor import Descriptor
from ml_containerize.oci.journal import JournalEntry
from ml_containerize.oci.refusals import WrongDigest
from ml_containerize.oci.retries import Temporary
from ml_containerize.oci.session import TIMEOUT, Body, Request, Session
from ml_containerize.oci.transport import Response
from ml_containerize.oci.upload_body import BlobBody

_AT_ONCE = 4 << 20  # bytes; below it, a resume would save less than asking for it costs
_STATUS = frozenset({200, 204})
_RECEIVED = frozenset({201, 202, 204})
_FINISHED = frozenset({200, 201, 204})
_SET_BACKS = frozenset({400, 404, 416})  # the upload is unknown, or its length or digest another
_OCTETS = {"Content-Type": "application/octet-stream"}
_FINISH_TIMEOUT = 600.0  # seconds; some registries copy the blob to its place before they answer
_RANGE = re.compile(r"(?:bytes=)?0-([0-9]+)")


@dataclass(frozen=True, slots=True)
class Upload:
    """How a blob came to be at the registry, and the bytes that were sent for it, repeats included."""

    kind: Literal["present", "mounted", "uploaded"]
    sent_bytes: int = 0


class BlobRefused(PushError):
    """The registry received other bytes than the digest promises."""

    def __init__(self, digest: Digest, repository: Repository, said: str) -> None:
        super().__init__(
            f"{repository} did not accept {digest}{said}",
            "The local copy is damaged, or the bytes were changed on the way: delete the output and the "
            "cache folder, and run again.",
        )


class BlobUpload:
    """The steps of one upload; `run` once."""

    def __init__(
        self,
        session: Session,
        repository: Repository,
        descriptor: Descriptor,
        open_: Callable[[], BinaryIO],
        *,
        entry: JournalEntry,
        mount_from: Repository | None,
        advance: Advance,
    ) -> None:
        self._session = session
        self._repository = repository
        self._descriptor = descriptor
        self._open = open_
        self._entry = entry
        self._mount_from = mount_from
        self._advance = advance
        self._scopes = repository_scopes(repository.path, "pull", "push")
        self._received = 0  # bytes that the registry has
        self._shown = 0  # bytes that `advance` was told of
        self._sent = 0
        self._resumed = False

    def run(self) -> Upload:
        """Bring the blob there; raises a ContainerizeError when it cannot be done."""
        attempt, furthest = 0, 0
        while True:
            try:
                if attempt and self.is_there():  # the answer was lost, not the blob
                    return self._done("uploaded")
                return self._go_on()
            except Temporary as problem:
                attempt = 1 if self._received > furthest else attempt + 1
                furthest = max(furthest, self._received)
                self._session.retries.pause(attempt, problem)

    def _go_on(self) -> Upload:
        if self._entry.location:
            self._ask_how_far()
        if not self._entry.location and self._start():
            return self._done("mounted")
        if self._received or self._descriptor.size > _AT_ONCE:
            self._stream()
            self._finish(b"")
        else:
            self._finish(self._body)
        return self._done("uploaded")

    def is_there(self) -> bool:
        """Ask for the blob by its digest (`HEAD`); raises WrongDigest where it has another."""
        url = self._session.url(f"{self._repository.path}/blobs/{self._descriptor.digest}")
        scopes = repository_scopes(self._repository.path, "pull")
        purpose = f"look up {self._descriptor.digest} in {self._repository}"
        request = Request("HEAD", url, purpose, scopes, accept=frozenset({200, 404}))
        with self._session.once(request) as response:
            if response.status == 200:
                self._check(response)
            return response.status == 200

    def _start(self) -> bool:
        """Begin an upload, or mount the blob from a neighbour, which ends it (True)."""
        source, self._mount_from = self._mount_from, None  # one try: it may be refused in any way
        try:
            return self._post(source)
        except PushError:
            if not source:
                raise
            return self._post(None)

    def _post(self, source: Repository | None) -> bool:
        url = self._session.url(f"{self._repository.path}/blobs/uploads/")
        scopes, accept = self._scopes, frozenset({202})
        if source:
            url += "?" + urlencode({"mount": str(self._descriptor.digest), "from": source.path})
            scopes, accept = scopes | repository_scopes(source.path, "pull"), frozenset({201, 202})
        request = Request("POST", url, self._purpose, scopes, {"Content-Length": "0"}, accept=accept)
        with self._session.once(request) as response:
            self._check(response)
            self._move(response)
            return response.status == 201

    def _ask_how_far(self) -> None:
        """Learn how much of a broken upload is there; begin anew where the registry cannot say."""
        request = Request("GET", self._entry.location, self._purpose, self._scopes, accept=_STATUS)
        try:
            with self._session.once(request) as response:
                received = _received(response) or 0
                self._move(response)
        except ContainerizeError:  # each registry has its own way to say that it forgot
            received = 0
        if not 1 < received <= self._descriptor.size:  # "0-0" means one byte to some, none to others
            self._restart()
            return
        self._received, self._resumed = received, True
        self._show(received)

    def _stream(self) -> None:
        """Send what is missing in one request (`PATCH`)."""
        size = self._descriptor.size
        while self._received < size:
            headers = {**_OCTETS, "Content-Length": str(size - self._received)}
            if self._received:
                headers["Content-Range"] = f"{self._received}-{size - 1}"
            self._received = self._send("PATCH", self._entry.location, headers, self._body, _RECEIVED, size)

    def _finish(self, body: Body) -> None:
        """Close the upload under its digest (`PUT`): from here on the blob exists."""
        url = _with_digest(self._entry.location, self._descriptor.digest)
        length = self._descriptor.size if callable(body) else 0
        headers = {**_OCTETS, "Content-Length": str(length)} if length else {"Content-Length": "0"}
        self._send("PUT", url, headers, body, _FINISHED, self._descriptor.size)

    def _send(
        self, method: str, url: str, headers: dict[str, str], body: Body, good: frozenset[int], end: int
    ) -> int:
        """Send one part of the upload; the number of bytes that the registry now has."""
        timeout = _FINISH_TIMEOUT if method == "PUT" else TIMEOUT
        request = Request(method, url, self._purpose, self._scopes, headers, body, good | _SET_BACKS, timeout)
        with self._session.once(request) as response:
            if response.status not in good:
                raise self._set_back(response)
            if method == "PUT":
                self._check(response)
                return end
            self._move(response)
            return min(end, _received(response) or end)

    def _set_back(self, response: Response) -> Exception:
        """The upload is lost: begin anew, unless the registry refused the whole blob's very bytes."""
        said = self._session.refusals.said(response)
        is_refusal = response.status == 400 and "UPLOAD" not in said
        fresh = not self._resumed
        self._restart()
        error = BlobRefused(self._descriptor.digest, self._repository, said)
        return error if is_refusal and fresh else Temporary(error)

    def _restart(self) -> None:
        self._entry.clear()
        self._received, self._resumed = 0, False
        self._show(0)

    def _move(self, response: Response) -> None:
        """Each answer may name another place to go on at."""
        if response.header("Location"):
            self._entry.save(self._session.locate(response))

    def _done(self, kind: Literal["mounted", "uploaded"]) -> Upload:
        self._entry.clear()
        self._show(self._descriptor.size)
        return Upload(kind, self._sent)

    def _check(self, response: Response) -> None:
        """Compare the digest that a registry may tell (a 202 has none to tell)."""
        told = response.header("Docker-Content-Digest")
        if told and response.status != 202 and told != str(self._descriptor.digest):
            raise WrongDigest(f"A blob in {self._repository}", self._descriptor.digest, told)

    def _show(self, count: int) -> None:
        self._advance(count - self._shown)
        self._shown = count

    def _body(self) -> BlobBody:
        """What the registry does not have yet, from the start of that, for each try."""
        self._show(self._received)
        return BlobBody(self._descriptor, self._open, self._received, self._count)

    def _count(self, count: int) -> None:
        self._sent += count
        self._show(self._shown + count)

    @property
    def _purpose(self) -> str:
        return f"upload {self._descriptor.digest} to {self._repository}"


def _received(response: Response) -> int | None:
    """Bytes that the registry has, by the `Range` of an upload's answer: its last byte, inclusive."""
    known = _RANGE.fullmatch(response.header("Range"))
    return int(known[1]) + 1 if known else None


def _with_digest(location: str, digest: Digest) -> str:
    """A location may carry a query of its own, which must stay as it is."""
    parts = urlsplit(location)
    query = "&".join(filter(None, (parts.query, urlencode({"digest": str(digest)}))))
    return urlunsplit(parts._replace(query=query))
