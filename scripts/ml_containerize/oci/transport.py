"""HTTP connections to registries: kept alive, shared by threads, TLS everywhere but on loopback.

It stands on the standard library's `http.client`. `requests` would do, but importing it takes a quarter of
the second that a run without changes may take, and a registry client needs little of it: `~/.netrc` must not
be used silently, cookies must not be kept, redirects and retries have rules of their own.
"""

from __future__ import annotations

import select
import socket
import ssl
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection, IncompleteRead
from threading import Event, Lock
from typing import Protocol, Self
from urllib.parse import urlsplit

from ml_containerize import __version__
from ml_containerize.errors import UsageError
from ml_containerize.names import is_loopback
from ml_containerize.oci.network import proxy_for, trusted_certificates

FAILURES = (OSError, HTTPException)  # what a connection raises when it breaks
_BLOCK = 1 << 20  # bytes sent at once; http.client's own 8 KiB cost a third of the speed over loopback
_CONNECT_TIMEOUT = 20.0  # seconds
_ERROR_BODY = 1 << 16  # bytes of an answer worth reading only to keep its connection
_AGENT = f"ml-containerize/{__version__}"


class InsecureAddress(UsageError):
    """An address that would be spoken to in the clear, beyond this machine."""

    def __init__(self, host: str, scheme: str) -> None:
        super().__init__(
            f"Refusing to speak {scheme or 'no protocol'} with {host}",
            "Use https: only registries on this machine's loopback are spoken to over http.",
        )


class Closed(Exception):
    """The command is being ended while a thread still wants to send."""


class Readable(Protocol):
    """A request's body, read once from start to end."""

    def read(self, size: int = -1, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Origin:
    """Whom a connection talks to; credentials never leave it."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Origin:
        """Read a URL's origin; raises InsecureAddress for http beyond loopback."""
        parts = urlsplit(url)
        host = (parts.hostname or "").lower()
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
            raise InsecureAddress(host, parts.scheme)
        return cls(parts.scheme, host, parts.port or (443 if parts.scheme == "https" else 80))

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(slots=True)
class Response:
    """An answer whose body is still to be read; closing it gives the connection back or drops it."""

    raw: HTTPResponse
    url: str
    _transport: Transport = field(repr=False)
    _origin: Origin = field(repr=False)
    _connection: HTTPConnection = field(repr=False)

    @property
    def status(self) -> int:
        return self.raw.status

    def header(self, name: str) -> str:
        """A header's value, "" where it is absent."""
        return self.raw.headers.get(name) or ""

    def headers(self, name: str) -> list[str]:
        return self.raw.headers.get_all(name) or []

    def readinto(self, buffer: memoryview) -> int:
        return self.raw.readinto(buffer)

    def read(self, limit: int) -> bytes:
        """At most `limit` bytes of the body; then the response is closed.

        Raises OSError or HTTPException where the body ends early.
        """
        with self:
            parts, size = [], 0
            while size < limit and (part := self.raw.read(limit - size)):
                parts.append(part)
                size += len(part)
            if size < limit and self.raw.length:
                raise IncompleteRead(b"", self.raw.length)
            return b"".join(parts)

    def close(self) -> None:
        with suppress(*FAILURES):
            if not self.raw.isclosed() and (self.raw.length or 0) <= _ERROR_BODY:
                self.raw.read(_ERROR_BODY)
        self._transport.give_back(self._origin, self._connection, reusable=self.raw.isclosed())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Transport:
    """Connections by origin; any thread may send."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._idle: dict[Origin, list[HTTPConnection]] = defaultdict(list)
        self._busy: set[HTTPConnection] = set()
        self._lock = Lock()
        self._closed = Event()

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | Readable | None = None,
        *,
        timeout: float,
    ) -> Response:
        """Send one request and read the answer's head.

        Raises OSError or HTTPException where the connection breaks, TimeoutError after `timeout` seconds
        without a byte, and InsecureAddress.
        """
        if self._closed.is_set():
            raise Closed
        origin, parts = Origin.of(url), urlsplit(url)
        connection = self._take(origin)
        try:
            connection.sock.settimeout(timeout)
            target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
            with suppress(BrokenPipeError, ConnectionResetError):  # it may have answered before it read all
                connection.request(method, target, body, {"User-Agent": _AGENT, **headers})
            answer = connection.getresponse()
        except BaseException:
            self.give_back(origin, connection, reusable=False)
            raise
        return Response(answer, url, self, origin, connection)

    def give_back(self, origin: Origin, connection: HTTPConnection, *, reusable: bool) -> None:
        with self._lock:
            if connection not in self._busy:
                return
            self._busy.discard(connection)
            if reusable and connection.sock:
                self._idle[origin].append(connection)
                return
        connection.close()

    def pause(self, seconds: float) -> None:
        """Sleep, unless the transport is closed meanwhile."""
        self._closed.wait(seconds)

    def close(self) -> None:
        """Drop every connection, also those that other threads wait on; nothing can be sent any more."""
        self._closed.set()
        with self._lock:
            idle = [connection for group in self._idle.values() for connection in group]
            self._idle.clear()
            busy = list(self._busy)
        for connection in idle:
            connection.close()
        for connection in busy:
            with suppress(OSError):
                if connection.sock:
                    connection.sock.shutdown(socket.SHUT_RDWR)

    def _take(self, origin: Origin) -> HTTPConnection:
        connection = self._waiting(origin) or self._connect(origin)
        with self._lock:
            self._busy.add(connection)
        return connection

    def _waiting(self, origin: Origin) -> HTTPConnection | None:
        while True:
            with self._lock:
                if not self._idle[origin]:
                    return None
                connection = self._idle[origin].pop()
            if not _is_stale(connection.sock):
                return connection
            connection.close()

    def _connect(self, origin: Origin) -> HTTPConnection:
        connection = self._make(origin)
        connection.connect()
        return connection

    def _make(self, origin: Origin) -> HTTPConnection:
        if origin.scheme == "http":
            return HTTPConnection(origin.host, origin.port, timeout=_CONNECT_TIMEOUT, blocksize=_BLOCK)
        proxy = proxy_for(origin.host, self._environ)
        connection = HTTPSConnection(
            proxy.host if proxy else origin.host,
            proxy.port if proxy else origin.port,
            timeout=_CONNECT_TIMEOUT,
            blocksize=_BLOCK,
            context=self._trust,
        )
        if proxy:
            connection.set_tunnel(origin.host, origin.port, headers=proxy.headers)
        return connection

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        return trusted_certificates(self._environ)


def _is_stale(sock: socket.socket) -> bool:
    """An idle connection on which something arrived was closed by the other side."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))
