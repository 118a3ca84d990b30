"""A read-only registry on 127.0.0.1 that shows one image to a container engine or any other registry client.

It serves the pull half of the OCI distribution specification 1.1: one manifest and the blobs that it names,
by digest. What the layout lacks is streamed through from its source; the engine verifies every blob.
"""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, BinaryIO

from ml_containerize.errors import ContainerizeError
from ml_containerize.names import DigestReference, Repository
from ml_containerize.oci.content import Content
from ml_containerize.oci.descriptor import Descriptor
from ml_containerize.oci.image import Image

_PATH = re.compile(r"/v2/(?P<name>.+)/(?P<kind>manifests|blobs)/(?P<digest>sha256:[0-9a-f]{64})")
_RANGE = re.compile(r"bytes=(?P<first>[0-9]*)-(?P<last>[0-9]*)")
_CHUNK = 1 << 20
_IDLE = 120.0  # seconds that a client may keep a connection without using it
_UNNAMEABLE = re.compile(r"[^a-z0-9]+")


@contextmanager
def serve(content: Content, name: str, image: Image) -> Iterator[DigestReference]:
    """Serve the image until the context ends; the reference to pull is `127.0.0.1:PORT/<name>@<digest>`.

    When pulling fails because a source failed, the source's own error is raised instead of the client's.
    """
    shown = _Shown(content, repository_path(name), _descriptors(image))
    server = _Server(shown)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="loopback", daemon=True)
    thread.start()
    try:
        yield Repository(f"127.0.0.1:{server.server_address[1]}", shown.name).at(image.digest)
    except Exception as error:
        if shown.errors:
            raise shown.errors[0] from error
        raise
    finally:
        server.shutdown()
        server.hang_up()
        server.server_close()
        thread.join()


def repository_path(name: str) -> str:
    """The last part of an image's name, fit for a repository: `ghcr.io/org/Digits:v1` → `digits`."""
    last = name.partition("@")[0].rstrip("/").rpartition("/")[2].partition(":")[0]
    return _UNNAMEABLE.sub("-", last.lower()).strip("-") or "image"


def _descriptors(image: Image) -> dict[tuple[str, str], Descriptor]:
    """What there is to serve, by kind and digest."""
    blobs = (image.manifest.config, *image.manifest.layers)
    manifest = {("manifests", str(image.digest)): image.descriptor}
    return manifest | {("blobs", str(blob.digest)): blob for blob in blobs}


@dataclass(slots=True)
class _Shown:
    content: Content
    name: str
    descriptors: Mapping[tuple[str, str], Descriptor]
    errors: list[ContainerizeError] = field(default_factory=list)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, shown: _Shown) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.shown = shown
        self._connections: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End the connections that clients keep open."""
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle is no business of ours."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    timeout = _IDLE
    _begun = False

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def log_message(self, *_: Any) -> None:
        """stderr belongs to the command's own words."""

    def _answer(self) -> None:
        self._begun = False
        path = self.path.partition("?")[0]
        match = _PATH.fullmatch(path)
        descriptor = self.server.shown.descriptors.get((match["kind"], match["digest"])) if match else None
        if path in {"/v2/", "/v2"}:
            self._document(HTTPStatus.OK, {})
        elif match and descriptor and match["name"] == self.server.shown.name:
            self._send(descriptor, is_blob=match["kind"] == "blobs")
        else:
            code = "BLOB_UNKNOWN" if match and match["kind"] == "blobs" else "MANIFEST_UNKNOWN"
            self._document(HTTPStatus.NOT_FOUND, {"errors": [{"code": code, "message": "not served here"}]})

    def _send(self, descriptor: Descriptor, *, is_blob: bool) -> None:
        first, last = self._wanted(descriptor.size) if is_blob else (0, descriptor.size - 1)
        if first > last and descriptor.size:
            self._head(416, {"Content-Range": f"bytes */{descriptor.size}", "Content-Length": "0"})
            return
        is_part = (first, last) != (0, descriptor.size - 1)
        headers = {
            "Content-Type": "application/octet-stream" if is_blob else descriptor.media_type,
            "Content-Length": str(last - first + 1),
            "Docker-Content-Digest": str(descriptor.digest),
            "Accept-Ranges": "bytes",
        }
        if is_part:
            headers["Content-Range"] = f"bytes {first}-{last}/{descriptor.size}"
        if self.command == "HEAD":
            self._head(206 if is_part else 200, headers)
            return
        try:
            with self.server.shown.content.open(descriptor) as source:
                self._head(206 if is_part else 200, headers)
                self._copy(source, descriptor, first, last - first + 1)
        except ContainerizeError as error:
            self._failed(error)

    def _wanted(self, size: int) -> tuple[int, int]:
        """The first and the last byte that are asked for (RFC 9110, section 14.1.2); of several, all."""
        wanted = _RANGE.fullmatch(self.headers.get("Range") or "")
        if not wanted or not (wanted["first"] or wanted["last"]):
            return 0, size - 1
        if not wanted["first"]:
            return max(0, size - int(wanted["last"])), size - 1
        return int(wanted["first"]), min(int(wanted["last"] or size), size - 1)

    def _copy(self, source: BinaryIO, descriptor: Descriptor, first: int, count: int) -> None:
        try:
            if self.server.shown.content.has(descriptor.digest):
                sent = self.connection.sendfile(source, first, count)
            else:
                sent = self._relay(source, first, count)
        except OSError:
            sent = 0
        if sent != count:
            self.close_connection = True

    def _relay(self, source: BinaryIO, skip: int, count: int) -> int:
        while skip and (skipped := len(source.read(min(skip, _CHUNK)))):
            skip -= skipped
        sent = 0
        while sent < count and (chunk := source.read(min(count - sent, _CHUNK))):
            self.wfile.write(chunk)
            sent += len(chunk)
        return sent

    def _failed(self, error: ContainerizeError) -> None:
        """A source failed: say what no client tries again, or break off where the answer has begun."""
        self.close_connection = True
        self.server.shown.errors.append(error)
        if not self._begun:
            denied = {"errors": [{"code": "DENIED", "message": error.what}]}
            self._document(HTTPStatus.FORBIDDEN, denied)

    def _document(self, status: HTTPStatus, document: Mapping[str, Any]) -> None:
        body = json.dumps(document).encode()
        self._head(status, {"Content-Type": "application/json", "Content-Length": str(len(body))})
        if self.command == "GET":
            self.wfile.write(body)

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self._begun = True
        self.send_response(status)
        self.send_header("Docker-Distribution-API-Version", "registry/2.0")
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
