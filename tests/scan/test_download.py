from __future__ import annotations

import hashlib
import io
import os
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ml_containerize.scan.download import (
    ScannerUnreachable,
    UnusableScanner,
    WrongScanner,
    ensure,
    fetch,
)
from ml_containerize.scan.release import Archive, Version

PROGRAM = b"#!/bin/sh\necho trivy\n"


def tarball(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def archive_of(content: bytes) -> Archive:
    return Archive(Version(0, 74, 0), "Linux-64bit", hashlib.sha256(content).hexdigest())


Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass(slots=True)
class Site:
    """A web site on loopback that gives its answers in turn, the last one again and again."""

    answers: list[Answer]
    paths: list[str] = field(default_factory=list)
    port: int = 0

    def fetch(self, url: str) -> Iterator[bytes]:
        """The real client, sent to this site instead of to GitHub."""
        path = url.removeprefix("https://github.com")
        return fetch(f"http://127.0.0.1:{self.port}{path}")


def whole(content: bytes) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    return answer


def cut_short(content: bytes) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content[: len(content) // 2])
        request.close_connection = True

    return answer


def status(code: int) -> Answer:
    return lambda request: request.send_error(code)


@pytest.fixture
def serve() -> Iterator[Callable[..., Site]]:
    servers: list[ThreadingHTTPServer] = []

    def start(*answers: Answer) -> Site:
        site = Site(list(answers))

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.paths.append(self.path)
                (site.answers.pop(0) if len(site.answers) > 1 else site.answers[0])(self)

            def log_message(self, *args: object) -> None: ...

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        site.port = server.server_port
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return site

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_the_program_is_downloaded_once_and_can_be_run(tmp_path: Path, serve: Callable[..., Site]) -> None:
    content = tarball(trivy=PROGRAM, LICENSE=b"Apache")
    site = serve(whole(content))
    program = ensure(archive_of(content), tmp_path, site.fetch)
    assert program.read_bytes() == PROGRAM
    assert os.access(program, os.X_OK)
    assert ensure(archive_of(content), tmp_path, site.fetch) == program
    assert site.paths == ["/aquasecurity/trivy/releases/download/v0.74.0/trivy_0.74.0_Linux-64bit.tar.gz"]
    assert left_in(tmp_path) == [program.name]


def test_a_download_with_another_hash_is_refused_before_it_is_unpacked(
    tmp_path: Path, serve: Callable[..., Site]
) -> None:
    site = serve(whole(tarball(trivy=b"something else")))
    with pytest.raises(WrongScanner, match="is not the pinned archive"):
        ensure(archive_of(tarball(trivy=PROGRAM)), tmp_path, site.fetch)
    assert left_in(tmp_path) == []
    assert len(site.paths) == 1


def test_a_download_that_stays_half_is_an_error_and_leaves_nothing(
    tmp_path: Path, serve: Callable[..., Site]
) -> None:
    content = tarball(trivy=os.urandom(200_000))
    waits: list[float] = []
    site = serve(cut_short(content))
    with pytest.raises(ScannerUnreachable) as caught:
        ensure(archive_of(content), tmp_path, site.fetch, waits.append)
    assert "trivy-path" in caught.value.fix
    assert waits == [2, 4]
    assert left_in(tmp_path) == []


def test_a_download_that_fails_at_first_is_tried_again(tmp_path: Path, serve: Callable[..., Site]) -> None:
    content = tarball(trivy=os.urandom(200_000))
    site = serve(status(503), cut_short(content), whole(content))
    assert ensure(archive_of(content), tmp_path, site.fetch, lambda _: None).is_file()


def test_a_site_that_does_not_answer_is_reported_with_the_address(tmp_path: Path) -> None:
    def refuse(url: str) -> Iterator[bytes]:
        return fetch("http://127.0.0.1:1/")

    with pytest.raises(ScannerUnreachable, match=r"releases/download/v0\.74\.0"):
        ensure(archive_of(b""), tmp_path, refuse, lambda _: None)


def test_only_the_program_is_taken_out_of_the_archive(tmp_path: Path) -> None:
    folder = tmp_path / "tools"
    content = tarball(**{"../escaped": b"x", "/etc/evil": b"x", "trivy": PROGRAM})
    program = ensure(archive_of(content), folder, lambda _: iter([content]))
    assert left_in(folder) == [program.name]
    assert left_in(tmp_path) == ["tools"]


def link() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        member = tarfile.TarInfo("trivy")
        member.type, member.linkname = tarfile.SYMTYPE, "/bin/sh"
        tar.addfile(member)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [link(), tarball(LICENSE=b"Apache"), b"no archive", b""],
    ids=["link", "licence", "text", "empty"],
)
def test_an_archive_without_the_program_is_an_error(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(UnusableScanner):
        ensure(archive_of(content), tmp_path, lambda _: iter([content]))
    assert left_in(tmp_path) == []


def test_an_archive_cut_inside_the_program_leaves_nothing(tmp_path: Path) -> None:
    content = tarball(trivy=os.urandom(200_000))[:100_000]
    with pytest.raises(UnusableScanner):
        ensure(archive_of(content), tmp_path, lambda _: iter([content]))
    assert left_in(tmp_path) == []
