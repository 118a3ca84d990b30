"""A client for one repository of a registry (OCI distribution specification 1.1).

Why no library: `oras` 0.2.43, the best kept one for Python, reads a whole blob into memory to upload it, does
not resume an upload, does not mount blobs, retries HTTP 500 but neither 429 with its `Retry-After` nor 502 to
504, and checks neither a manifest's digest nor a blob's. A model of several GiB, and a run that ends with the
tested bytes or with nothing, need all of these. The parts: `transport` (connections), `authentication`
(challenges, tokens), `session` (retries, redirects, errors), `uploads`, `downloads` and `journal` (resuming).
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Lock
from typing import BinaryIO, cast
from urllib.parse import urljoin

from ml_containerize.console import Advance
from ml_containerize.errors import PushError
from ml_containerize.names import Digest, Repository
from ml_containerize.oci import media
from ml_containerize.oci.authentication import repository_scopes
from ml_containerize.oci.blobs import VerifiedStream
from ml_containerize.oci.credentials import Credentials
from ml_containerize.oci.descriptor import Descriptor
from ml_containerize.oci.document import MalformedContent, expect, expect_digest, parse_object
from ml_containerize.oci.downloads import BlobStream
from ml_containerize.oci.journal import Journal
from ml_containerize.oci.refusals import WrongDigest
from ml_containerize.oci.retries import Retries
from ml_containerize.oci.session import Request, Session
from ml_containerize.oci.transport import Response, Transport
from ml_containerize.oci.uploads import BlobUpload, Upload

_MANIFEST_LIMIT = 4 << 20  # bytes, what the specification lets a registry accept
_PAGE_LIMIT = 16 << 20
_BUFFER = 1 << 20
_LINK = re.compile(r'<([^>]*)>\s*;.*rel="?next')
_WANTED = ", ".join(sorted(media.MANIFESTS | media.INDEXES))


class ManifestNotFound(PushError):
    """The repository has no such manifest, or does not show it to us."""

    def __init__(self, repository: Repository, reference: str | Digest) -> None:
        super().__init__(
            f"{_name(repository, reference)} does not exist",
            "Check the name and the tag or digest; a private repository also answers so without a login.",
        )


class RegistryClient:
    """Manifests, blobs and tags of one repository; any thread may use it."""

    def __init__(self, repository: Repository, session: Session, journal: Journal) -> None:
        """`session` is shared by the clients of one registry (see `connector`)."""
        self.repository = repository
        self._session = session
        self._journal = journal

    def find_manifest(self, reference: str | Digest) -> Descriptor | None:
        """A tag's or digest's descriptor (`HEAD`), None where there is none; raises WrongDigest."""
        request = self._manifest_request("HEAD", reference, frozenset({200, 404}))
        with self._session.request(request) as response:
            if response.status == 404:
                return None
            told = self._told(response, reference)
            size = response.header("Content-Length")
            if told and size.isdecimal():
                return Descriptor(_media_type(response), told, int(size))
        return self.get_manifest(reference)[0]  # both headers are optional

    def get_manifest(self, reference: str | Digest) -> tuple[Descriptor, bytes]:
        """The descriptor and the bytes, which have its digest; raises ManifestNotFound, WrongDigest."""
        request = self._manifest_request("GET", reference, frozenset({200, 404}))
        return self._session.read(request, lambda response: self._received(response, reference))

    def put_manifest(self, body: bytes, media_type: str, reference: str | Digest) -> Digest:
        """Publish a manifest under a tag or its digest; raises WrongDigest where the registry has another."""
        digest = Digest.of(body)
        request = Request(
            "PUT",
            self._url(f"manifests/{reference}"),
            f"publish {_name(self.repository, reference)}",
            repository_scopes(self.repository.path, "pull", "push"),
            {"Content-Type": media_type},
            body,
            frozenset({200, 201, 202}),
        )
        with self._session.request(request) as response:
            self._told(response, digest)
        return digest

    def has_blob(self, digest: Digest) -> bool:
        """Ask for a blob (`HEAD`)."""
        scopes = repository_scopes(self.repository.path, "pull")
        purpose = f"look up {digest} in {self.repository}"
        request = Request("HEAD", self._url(f"blobs/{digest}"), purpose, scopes, accept=frozenset({200, 404}))
        with self._session.request(request) as response:
            if response.status == 200:
                self._told(response, digest)
            return response.status == 200

    def open(self, descriptor: Descriptor) -> BinaryIO:
        """The blob as a stream that survives broken connections; whoever reads it verifies it."""
        return io.BufferedReader(BlobStream(self._session, self.repository, descriptor), _BUFFER)

    def open_blob(self, descriptor: Descriptor) -> BinaryIO:
        """The blob as a stream; raises CorruptBlob at its end where it is not what was asked for."""
        return cast("BinaryIO", VerifiedStream(self.open(descriptor), descriptor, self.repository))

    def upload(
        self,
        descriptor: Descriptor,
        open_: Callable[[], BinaryIO],
        *,
        mount_from: Repository | None = None,
        advance: Advance = lambda _: None,
    ) -> Upload:
        """Bring a blob there unless it is; `mount_from` is a neighbour in the same registry that has it.

        `open_` opens the blob anew for each try; `advance` may be told of fewer bytes after a set-back.
        """
        if self.has_blob(descriptor.digest):
            advance(descriptor.size)
            return Upload("present")
        neighbour = mount_from if mount_from and mount_from.registry == self.repository.registry else None
        with self._journal.entry(self.repository, descriptor) as entry:
            return BlobUpload(
                self._session,
                self.repository,
                descriptor,
                open_,
                entry=entry,
                mount_from=neighbour if neighbour != self.repository else None,
                advance=advance,
            ).run()

    def tags(self) -> list[str]:
        """Every tag, page by page; none where the repository does not exist yet."""
        tags: list[str] = []
        url: str | None = self._url("tags/list")
        while url:
            page, url = self._tags_page(url)
            tags += page
        return tags

    def close(self) -> None:
        """Drop the connections, also those that other threads wait on; nothing can be sent any more."""
        self._session.close()

    def _tags_page(self, url: str) -> tuple[list[str], str | None]:
        purpose = f"list the tags of {self.repository}"
        scopes = repository_scopes(self.repository.path, "pull")

        def read(response: Response) -> tuple[list[str], str | None]:
            if response.status == 404:
                return [], None
            following = _next_link(response)
            tags = (
                parse_object(response.read(_PAGE_LIMIT), f"tag list of {self.repository}").get("tags") or []
            )
            return [expect(tag, str, "tags") for tag in expect(tags, list, "tags")], following

        return self._session.read(Request("GET", url, purpose, scopes, accept=frozenset({200, 404})), read)

    def _manifest_request(self, method: str, reference: str | Digest, accept: frozenset[int]) -> Request:
        return Request(
            method,
            self._url(f"manifests/{reference}"),
            f"look up {_name(self.repository, reference)}",
            repository_scopes(self.repository.path, "pull"),
            {"Accept": _WANTED},
            accept=accept,
        )

    def _received(self, response: Response, reference: str | Digest) -> tuple[Descriptor, bytes]:
        if response.status == 404:
            raise ManifestNotFound(self.repository, reference)
        told = self._told(response, reference)
        body = response.read(_MANIFEST_LIMIT + 1)
        if len(body) > _MANIFEST_LIMIT:
            raise MalformedContent(f"{_name(self.repository, reference)} is larger than any manifest may be")
        descriptor = Descriptor.of(body, _media_type(response))
        if told and told != descriptor.digest:
            raise WrongDigest(_name(self.repository, reference), told, descriptor.digest)
        return descriptor, body

    def _told(self, response: Response, wanted: str | Digest) -> Digest | None:
        """The digest that was asked for, or that `Docker-Content-Digest` tells (which is optional)."""
        text = response.header("Docker-Content-Digest")
        asked = wanted if isinstance(wanted, Digest) else None
        if asked and text and text != str(asked):
            raise WrongDigest(_name(self.repository, asked), asked, text)
        return asked or (expect_digest(text, "Docker-Content-Digest") if text else None)

    def _url(self, rest: str) -> str:
        return self._session.url(f"{self.repository.path}/{rest}")


Connect = Callable[[Repository], RegistryClient]


def connector(
    credentials: Credentials,
    *,
    journal: Path | None = None,
    sleep: Callable[[float], None] | None = None,
    attempts: int = 5,
) -> Connect:
    """Clients that share connections and logins; a repository's client is made once.

    `sleep` waits between attempts; by default a closed client cuts it short.
    """
    transport = Transport(credentials.environ)
    retries = Retries(attempts, sleep or transport.pause)
    notes = Journal(journal)
    notes.sweep()
    clients: dict[Repository, RegistryClient] = {}
    sessions: dict[str, Session] = {}
    lock = Lock()

    def connect(repository: Repository) -> RegistryClient:
        registry = repository.registry
        with lock:
            if registry not in sessions:
                login = partial(credentials.login, registry)
                sessions[registry] = Session(registry, login, transport, retries)
            if repository not in clients:
                clients[repository] = RegistryClient(repository, sessions[registry], notes)
            return clients[repository]

    return connect


def _name(repository: Repository, reference: str | Digest) -> str:
    return f"{repository}{'@' if isinstance(reference, Digest) else ':'}{reference}"


def _media_type(response: Response) -> str:
    return response.header("Content-Type").partition(";")[0].strip()


def _next_link(response: Response) -> str | None:
    """The next page's URL (RFC 8288, `Link: </v2/…?n=…>; rel="next"`)."""
    link = _LINK.match(response.header("Link"))
    return urljoin(response.url, link[1]) if link else None
