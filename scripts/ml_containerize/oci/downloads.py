"""One blob on its way from a registry: a stream that goes on after a broken connection."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from ml_containerize.names import Repository
from ml_containerize.oci.authentication import repository_scopes
from ml_containerize.oci.descriptor import Descriptor
from ml_containerize.oci.refusals import Unreachable
from ml_containerize.oci.retries import Temporary
from ml_containerize.oci.session import Request, Session
from ml_containerize.oci.transport import FAILURES, Origin, Response

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_CONTENT_RANGE = re.compile(r"bytes ([0-9]+)-")
_SKIP = 1 << 20  # bytes


class BlobStream(io.RawIOBase):
    """A blob's bytes, as many as its descriptor says, not verified.

    Reading raises a ContainerizeError where the connection cannot be had again.
    """

    def __init__(self, session: Session, repository: Repository, descriptor: Descriptor) -> None:
        super().__init__()
        self._session = session
        self._repository = repository
        self._descriptor = descriptor
        self._done = 0
        self._attempt = 0
        self._response: Response | None = session.retries.run(self._request)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")[: self._descriptor.size - self._done]
        while view:
            try:
                count = self._receive(view)
            except Temporary as problem:
                self._drop()
                self._attempt += 1
                self._session.retries.pause(self._attempt, problem)
            else:
                self._attempt = 0
                self._done += count
                return count
        self._drop()
        return 0

    def _receive(self, view: memoryview) -> int:
        """At least one byte; raises Temporary where the connection broke."""
        self._response = response = self._response or self._request()
        origin = Origin.of(response.url)
        try:
            count = response.readinto(view)
        except FAILURES as error:
            raise self._session.refusals.broken(origin, error) from error
        if not count:
            raise Temporary(
                Unreachable(origin, f"it broke off after {self._done} of {self._descriptor.size} bytes")
            )
        return count

    def _request(self) -> Response:
        """Ask for what is missing; a registry that does not know ranges sends all of it again."""
        path = f"{self._repository.path}/blobs/{self._descriptor.digest}"
        request = Request(
            "GET",
            self._session.url(path),
            f"read {self._descriptor.digest} from {self._repository}",
            repository_scopes(self._repository.path, "pull"),
            {"Range": f"bytes={self._done}-"} if self._done else {},
            accept=frozenset({200, 206}),
        )
        response = self._session.once(request)
        start = _CONTENT_RANGE.match(response.header("Content-Range")) if response.status == 206 else None
        self._skip(response, self._done - (int(start[1]) if start else 0))
        return response

    def _skip(self, response: Response, count: int) -> None:
        buffer = memoryview(bytearray(min(count, _SKIP)))
        try:
            while count and (skipped := response.readinto(buffer[:count])):
                count -= skipped
        except FAILURES as error:
            response.close()
            raise self._session.refusals.broken(Origin.of(response.url), error) from error

    def _drop(self) -> None:
        response, self._response = self._response, None
        if response:
            response.close()

    def close(self) -> None:
        self._drop()
        super().close()
