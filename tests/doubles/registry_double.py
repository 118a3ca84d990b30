"""A small, complete registry in memory, on loopback, that fails as it is told to.

It follows the OCI distribution specification 1.1 and the Distribution project's token specification. It notes
what it was asked, and plays a script of faults: each waits for a request that it fits, then strikes.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
import socket
import struct
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

_PATH = re.compile(r"/v2/(?P<name>.+?)/(?P<kind>manifests|blobs/uploads|blobs|tags)/(?P<reference>.*)")
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Seen:
    """One request and the status that it was answered with (0: the connection was reset)."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    status: int


@dataclass
class Fault:
    """What goes wrong, `times` times, for requests of this method whose path contains this text."""

    method: str
    path: str = ""
    times: int = 1
    status: int = 0  # answer with it
    headers: Mapping[str, str] = field(default_factory=dict)  # beside it, or over the right answer's
    body: bytes | None = None  # instead of the right answer's
    document: str = ""  # an error code, for the body
    break_after: int | None = None  # reset the connection after so many bytes of either side's body
    unread: bool = False  # answer without reading the request's body
    lost: bool = False  # do what was asked, but reset the connection instead of answering

    def fits(self, method: str, path: str) -> bool:
        return self.times > 0 and self.method == method and self.path in path


@dataclass
class RegistryDouble:
    """`with RegistryDouble() as registry`: push to `registry.host`, then look into it."""

    auth: str = ""  # "", "basic" or "token"
    users: Mapping[str, str] = field(default_factory=dict)
    identity_tokens: frozenset[str] = frozenset()
    anonymous: frozenset[str] = frozenset()  # actions allowed without a login
    allowed: Mapping[str, frozenset[str]] = field(default_factory=dict)  # per user, else everything
    token_lifetime: float = 300.0  # seconds
    token_key: str = "token"  # some servers say access_token
    mounts: bool = True
    forgets: bool = False  # an upload that broke off, as the Distribution project's registry does
    tells_digests: bool = True
    absolute_locations: bool = False
    uploads_at: str = ""  # another server that takes uploads: "http://127.0.0.1:PORT"
    ranges: bool = True  # False: blobs are always sent whole
    redirect_to: str = ""  # where blobs are read: "http://127.0.0.1:PORT"
    page: int = 1000  # tags in a page

    blobs: dict[str, dict[str, bytes]] = field(default_factory=lambda: defaultdict(dict))
    manifests: dict[str, dict[str, tuple[str, bytes]]] = field(default_factory=lambda: defaultdict(dict))
    tags: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    uploads: dict[str, bytearray] = field(default_factory=dict)
    tokens: dict[str, tuple[str, frozenset[str], float]] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=itertools.count)
    hooks: list[tuple[str, str, Callable[[], object]]] = field(default_factory=list)
    received: int = 0  # bytes of blobs
    connections: int = 0
    begun: int = 0  # bodies of uploads
    taking: int = 0  # of these, how many are under way
    lock: Any = field(default_factory=threading.RLock)

    def __enter__(self) -> Self:
        handler = type("Handler", (_Handler,), {"registry": self})
        self._server = _Server(("127.0.0.1", 0), handler, registry=self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.drop()
        self._server.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def host(self) -> str:
        return f"localhost:{self.port}"

    def drop_connections(self) -> None:
        """Close every connection from this side, as a registry does with idle ones."""
        self._server.drop()

    def fail(self, method: str, path: str = "", **what: Any) -> Fault:
        self.faults.append(Fault(method, path, **what))
        return self.faults[-1]

    def on(self, method: str, path: str, hook: Callable[[], object]) -> None:
        """Do something, once, before such a request is answered."""
        self.hooks.append((method, path, hook))

    def asked(self, method: str, path: str = "") -> list[Seen]:
        return [seen for seen in self.seen if seen.method == method and path in seen.path]

    def count(self) -> Counter[str]:
        """How often each method was used below /v2/."""
        return Counter(seen.method for seen in self.seen if seen.path.startswith("/v2/"))

    def put_blob(self, name: str, content: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.blobs[name][digest] = content
        return digest

    def put_manifest(self, name: str, content: bytes, media_type: str, tag: str = "") -> str:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.manifests[name][digest] = (media_type, content)
        if tag:
            self.tags[name][tag] = digest
        return digest

    def wait_for_uploads(self) -> int:
        """The bytes received, once an upload has begun and the client's going away has been noticed."""
        deadline = time.monotonic() + 10
        while (self.taking or not self.begun) and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.received

    def call_hooks(self, method: str, path: str) -> None:
        with self.lock:
            due = [hook for hook in self.hooks if hook[0] == method and hook[1] in path]
            self.hooks = [hook for hook in self.hooks if hook not in due]
        for _, _, hook in due:
            hook()

    def strike(self, method: str, path: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.fits(method, path):
                    fault.times -= 1
                    return fault
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, *arguments: Any, registry: RegistryDouble) -> None:
        super().__init__(*arguments)
        self.registry = registry
        self.open: set[socket.socket] = set()
        self.resets: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self.registry.connections += 1
        self.open.add(request)
        super().process_request(request, client_address)

    def reset(self, connection: socket.socket) -> None:
        """A close without lingering sends a reset, not an end."""
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.resets.add(connection)

    def shutdown_request(self, request: Any) -> None:
        if request in self.resets:
            request.close()
        else:
            super().shutdown_request(request)

    def drop(self) -> None:
        for connection in self.open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.open.clear()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are part of the tests."""


class _Reset(Exception):
    pass


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    registry: RegistryDouble
    server: _Server

    def log_message(self, *_: Any) -> None:
        pass

    def handle_any(self) -> None:
        self.parts = urlsplit(self.path)
        self.query = {key: values[-1] for key, values in parse_qs(self.parts.query).items()}
        self.left = int(self.headers.get("Content-Length") or 0)
        self.fault = self.registry.strike(self.command, self.parts.path)
        self.registry.call_hooks(self.command, self.parts.path)
        try:
            self.respond()
        except _Reset:
            self.note(0)
            self.close_connection = True
            self.server.reset(self.connection)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815

    def respond(self) -> None:
        fault = self.fault
        if fault and fault.status:
            if fault.unread:
                self.close_connection = True
            else:
                self.drain()
            document = _errors(fault.document) if fault.document else fault.body or b""
            self.answer(fault.status, {"Content-Length": str(len(document))}, document)
        elif self.parts.path == "/token":
            self.give_token()
        elif not self.parts.path.startswith("/v2/"):
            self.stored_elsewhere()
        elif self.is_allowed():
            self.route()

    def route(self) -> None:
        match = _PATH.fullmatch(self.parts.path)
        if not match:
            self.answer(200 if self.parts.path == "/v2/" else 404)
            return
        self.name, reference = match["name"], match["reference"]
        kind = match["kind"].replace("blobs/uploads", "upload")
        method = "get" if self.command == "HEAD" else self.command.lower()
        getattr(self, f"{method}_{kind}", lambda _: self.answer(405))(reference)

    # Authentication

    def is_allowed(self) -> bool:
        registry = self.registry
        match = _PATH.fullmatch(self.parts.path)
        action = "pull" if self.command in {"GET", "HEAD"} and "uploads" not in self.parts.path else "push"
        if not registry.auth or not match:
            return True
        scheme, _, value = (self.headers.get("Authorization") or "").partition(" ")
        if registry.auth == "basic":
            user = _basic_user(value, registry.users) if scheme == "Basic" else None
            if user is None:
                self.drain()
                self.answer(401, {"WWW-Authenticate": 'Basic realm="double"'}, _errors("UNAUTHORIZED"))
                return False
            return self.may(user, action)
        return self.has_token(match["name"], action, value if scheme == "Bearer" else "")

    def may(self, user: str, action: str) -> bool:
        if action in self.registry.allowed.get(user, {"pull", "push"}):
            return True
        self.drain()
        self.answer(403, {}, _errors("DENIED"))
        return False

    def has_token(self, name: str, action: str, value: str) -> bool:
        _, scopes, expires = self.registry.tokens.get(value, ("", frozenset(), 0.0))
        if f"repository:{name}:{action}" in scopes and expires > time.monotonic():
            return True
        self.drain()
        actions = "pull" if action == "pull" else "pull,push"
        scope = f"repository:{name}:{actions}"
        realm = f"http://localhost:{self.registry.port}/token"
        challenge = f'Bearer realm="{realm}",service="double",scope="{scope}"'
        self.answer(401, {"WWW-Authenticate": challenge}, _errors("UNAUTHORIZED"))
        return False

    def give_token(self) -> None:
        registry = self.registry
        body = self.drain()
        if self.command == "POST":
            form = {key: values[-1] for key, values in parse_qs(body.decode()).items()}
            user = "identity" if form.get("refresh_token") in registry.identity_tokens else None
            asked = form.get("scope", "").split(" ")
        else:
            scheme, _, value = (self.headers.get("Authorization") or "").partition(" ")
            user = _basic_user(value, registry.users) if scheme == "Basic" else ""
            asked = parse_qs(self.parts.query).get("scope", [])
        if user is None:
            self.answer(401, {}, _errors("UNAUTHORIZED"))
            return
        granted = registry.anonymous if not user else registry.allowed.get(user, frozenset({"pull", "push"}))
        scopes = {
            f"{scope.rpartition(':')[0]}:{action}"
            for scope in asked
            for action in scope.rpartition(":")[2].split(",")
            if action in granted
        }
        token = f"token-{len(registry.seen)}"
        registry.tokens[token] = (user, frozenset(scopes), time.monotonic() + registry.token_lifetime)
        document = {registry.token_key: token, "expires_in": registry.token_lifetime}
        self.answer(200, {"Content-Type": "application/json"}, json.dumps(document).encode())

    # Blobs

    def get_blobs(self, digest: str) -> None:
        content = self.registry.blobs[self.name].get(digest)
        if content is None:
            self.answer(404, {}, _errors("BLOB_UNKNOWN"))
        elif self.registry.redirect_to and self.command == "GET":
            self.answer(307, {"Location": f"{self.registry.redirect_to}/{digest}?signature=secret"})
        else:
            self.send_content(content, {"Docker-Content-Digest": digest})

    def stored_elsewhere(self) -> None:
        """Blobs of all repositories by digest, as a storage service would serve them."""
        digest = self.parts.path.rpartition("/")[2]
        found = [blobs[digest] for blobs in self.registry.blobs.values() if digest in blobs]
        if found:
            self.send_content(found[0], {})
        else:
            self.answer(404)

    def send_content(self, content: bytes, headers: dict[str, str]) -> None:
        wanted = (
            re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "") if self.registry.ranges else None
        )
        start = int(wanted[1]) if wanted else 0
        if wanted:
            headers |= {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
        self.answer(206 if wanted else 200, headers, content[start:])

    def post_upload(self, _: str) -> None:
        registry, digest = self.registry, self.query.get("mount", "")
        source = registry.blobs[self.query.get("from", "")]
        self.drain()
        if registry.mounts and digest in source:
            registry.blobs[self.name][digest] = source[digest]
            self.answer(201, {"Location": f"/v2/{self.name}/blobs/{digest}", "Docker-Content-Digest": digest})
            return
        key = f"{self.name.replace('/', '-')}-{next(registry.numbers)}"
        registry.uploads[key] = bytearray()
        self.answer(202, self.upload_headers(key))

    def upload_headers(self, key: str) -> dict[str, str]:
        size = len(self.registry.uploads[key])
        base = f"http://localhost:{self.registry.port}" if self.registry.absolute_locations else ""
        base = self.registry.uploads_at or base
        location = f"{base}/v2/{self.name}/blobs/uploads/{key}?_state={size}"
        return {"Location": location, "Range": f"0-{max(0, size - 1)}", "Docker-Upload-UUID": key}

    def get_upload(self, key: str) -> None:
        if key in self.registry.uploads:
            self.answer(204, self.upload_headers(key))
        else:
            self.answer(404, {}, _errors("BLOB_UPLOAD_UNKNOWN"))

    def patch_upload(self, key: str) -> None:
        upload = self.registry.uploads.get(key)
        start = (self.headers.get("Content-Range") or "").partition("-")[0]
        if upload is None or self.query.get("_state") is None:
            self.drain()
            self.answer(404, {}, _errors("BLOB_UPLOAD_UNKNOWN"))
        elif start and int(start) != len(upload):
            self.drain()
            self.answer(416)
        else:
            self.take(key, upload)
            self.answer(202, self.upload_headers(key))

    def put_upload(self, key: str) -> None:
        upload, digest = self.registry.uploads.get(key), self.query.get("digest", "")
        if upload is None or "_state" not in self.query:
            self.drain()
            self.answer(404, {}, _errors("BLOB_UPLOAD_UNKNOWN"))
            return
        self.take(key, upload)
        del self.registry.uploads[key]
        if f"sha256:{hashlib.sha256(upload).hexdigest()}" != digest:
            self.answer(400, {}, _errors("DIGEST_INVALID"))
            return
        self.registry.blobs[self.name][digest] = bytes(upload)
        self.answer(201, {"Location": f"/v2/{self.name}/blobs/{digest}", "Docker-Content-Digest": digest})

    def take(self, key: str, upload: bytearray) -> None:
        limit = self.fault.break_after if self.fault else None
        self.registry.begun += 1
        self.registry.taking += 1
        try:
            for chunk in self.chunks(limit):
                upload += chunk
                self.registry.received += len(chunk)
        except (OSError, _Reset):
            if self.registry.forgets:
                self.registry.uploads.pop(key, None)
            raise
        finally:
            self.registry.taking -= 1

    # Manifests and tags

    def get_manifests(self, reference: str) -> None:
        digest = reference if ":" in reference else self.registry.tags[self.name].get(reference, "")
        found = self.registry.manifests[self.name].get(digest)
        if not found:
            self.answer(404, {}, _errors("MANIFEST_UNKNOWN"))
            return
        told = {"Docker-Content-Digest": digest} if self.registry.tells_digests else {}
        self.answer(200, {"Content-Type": found[0], **told}, found[1])

    def put_manifests(self, reference: str) -> None:
        body = self.drain()
        document = json.loads(body)
        blobs = [document["config"], *document["layers"]] if "config" in document else []
        if any(blob["digest"] not in self.registry.blobs[self.name] for blob in blobs):
            self.answer(400, {}, _errors("MANIFEST_BLOB_UNKNOWN"))
            return
        tag = "" if ":" in reference else reference
        digest = self.registry.put_manifest(self.name, body, self.headers["Content-Type"], tag)
        told = {"Docker-Content-Digest": digest} if self.registry.tells_digests else {}
        self.answer(201, {"Location": f"/v2/{self.name}/manifests/{digest}", **told})

    def get_tags(self, _: str) -> None:
        if self.name not in self.registry.tags:
            self.answer(404, {}, _errors("NAME_UNKNOWN"))
            return
        after = self.query.get("last", "")
        tags = [tag for tag in sorted(self.registry.tags[self.name]) if tag > after]
        page, rest = tags[: self.registry.page], tags[self.registry.page :]
        link = {"Link": f'</v2/{self.name}/tags/list?last={page[-1]}>; rel="next"'} if rest else {}
        self.answer(200, link, json.dumps({"name": self.name, "tags": page}).encode())

    # The wire

    def chunks(self, limit: int | None = None) -> Iterator[bytes]:
        """The request's body; resets the connection after `limit` bytes of it."""
        while self.left:
            if limit == 0:
                raise _Reset
            size = min(self.left, _CHUNK, limit if limit is not None else _CHUNK)
            chunk = self.rfile.read(size)
            if not chunk:
                raise ConnectionAbortedError
            self.left -= len(chunk)
            limit = limit - len(chunk) if limit is not None else None
            yield chunk
        if limit is not None:
            raise _Reset

    def drain(self) -> bytes:
        return b"".join(self.chunks())

    def answer(self, status: int, headers: Mapping[str, str] | None = None, body: bytes = b"") -> None:
        fault = self.fault
        if fault and not fault.status and fault.body is not None:
            body = fault.body
        if fault and fault.lost:
            raise _Reset
        told = {"Content-Length": str(len(body)), **(headers or {}), **(fault.headers if fault else {})}
        self.note(status)
        self.send_response(status)
        for name, value in told.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD" or status == 204:
            return
        if fault and fault.break_after is not None and self.command == "GET":
            self.wfile.write(body[: fault.break_after])
            self.wfile.flush()
            time.sleep(0.05)  # a reset would overtake what was sent just before it
            self.close_connection = True
            self.server.reset(self.connection)
            return
        self.wfile.write(body)

    def note(self, status: int) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        seen = Seen(self.command, self.parts.path, self.parts.query, headers, status)
        self.registry.seen.append(seen)


def _basic_user(value: str, users: Mapping[str, str]) -> str | None:
    user, _, password = base64.b64decode(value).decode().partition(":")
    return user if users.get(user) == password else None


def _errors(code: str) -> bytes:
    return json.dumps({"errors": [{"code": code, "message": f"the double says {code.lower()}"}]}).encode()
