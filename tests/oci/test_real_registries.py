"""The client and the loopback registry with other programs: docker-registry, skopeo, TLS, proxies."""

from __future__ import annotations

import http.server
import json
import os
import select
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from doubles.images import publish, write_image
from doubles.registry_double import RegistryDouble
from support.programs import program

from ml_containerize.names import DigestReference, Repository
from ml_containerize.oci import media
from ml_containerize.oci.content import Content
from ml_containerize.oci.credentials import Credentials, Login
from ml_containerize.oci.find import find_image
from ml_containerize.oci.image import Image
from ml_containerize.oci.layout import Layout
from ml_containerize.oci.loopback import serve
from ml_containerize.oci.refusals import CertificateNotTrusted, LoginNeeded, LoginRefused
from ml_containerize.oci.registry import RegistryClient, connector

pytestmark = pytest.mark.e2e

MODEL = os.urandom(1 << 20) * 40
UPLOAD = """
import sys, time
from pathlib import Path
from ml_containerize.names import DigestReference, Repository
from ml_containerize.oci.credentials import Credentials
from ml_containerize.oci.image import open_image
from ml_containerize.oci.layout import Layout
from ml_containerize.oci.registry import connector

layout, repository, journal, stop = sys.argv[1:]
image = open_image(Layout.at(Path(layout)))
client = connector(Credentials(), journal=Path(journal))(Repository.parse(repository))
read = 0

def advance(count):
    global read
    read += count
    if read > int(stop):
        print("half way", flush=True)
        time.sleep(600)

for blob in (image.manifest.config, *image.manifest.layers):
    client.upload(blob, lambda: image.content.open(blob), advance=advance)
"""


@pytest.fixture
def image(tmp_path: Path) -> Image:
    return write_image(
        tmp_path / "layout", {"bin/sh": b"base"}, {"opt/model": MODEL}, labels={"team": "vision"}
    )


def client_of(
    host: str, path: str = "org/app", login: Login | None = None, **options: object
) -> RegistryClient:
    credentials = Credentials({host: login} if login else {})
    return connector(credentials, **options)(Repository(host, path))  # type: ignore[arg-type]


def send(image: Image, client: RegistryClient, tag: str, mount_from: Repository | None = None) -> list[str]:
    """Push an image; how each blob came to be there, lowest layer first and the configuration last."""
    kinds = [
        client.upload(blob, lambda blob=blob: image.content.open(blob), mount_from=mount_from).kind  # type: ignore[misc]
        for blob in (*image.manifest.layers, image.manifest.config)
    ]
    client.put_manifest(image.content.layout.read(image.descriptor), media.MANIFEST, tag)
    return kinds


def skopeo(*arguments: str) -> str:
    done = subprocess.run([program("skopeo"), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_image_is_pushed_and_found_again(image: Image, registry: str, tmp_path: Path) -> None:
    client = client_of(registry)
    assert send(image, client, "v1") == ["uploaded"] * 3
    assert send(image, client, "v2") == ["present"] * 3
    assert client.tags() == ["v1", "v2"]
    found = find_image(f"{registry}/org/app:v1", image.platform, lambda _: client)
    assert found.digest == image.digest
    copy = found.into(Layout.create(tmp_path / "copy"))
    for layer in image.manifest.layers:
        copy.content.pull(layer)
        assert copy.content.has(layer.digest)


def test_skopeo_shows_the_labels_of_what_was_pushed(image: Image, registry: str) -> None:
    send(image, client_of(registry, "org/labels"), "v1")
    told = json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{registry}/org/labels:v1"))
    assert told["Digest"] == str(image.digest)
    assert told["Labels"] == {"team": "vision"}


def test_blobs_are_mounted_across_repositories(image: Image, registry: str) -> None:
    send(image, client_of(registry, "org/neighbour"), "v1")
    lender = Repository.parse(f"{registry}/org/neighbour")
    assert send(image, client_of(registry, "org/borrower"), "v1", lender) == ["mounted"] * 3


def test_a_password_is_asked_for_and_checked(image: Image, make_registry) -> None:  # type: ignore[no-untyped-def]
    host = make_registry(htpasswd={"ada": "secret"})
    send(image, client_of(host, login=Login("ada", "secret")), "v1")
    with pytest.raises(LoginNeeded):
        client_of(host).find_manifest("v1")
    with pytest.raises(LoginRefused):
        client_of(host, login=Login("ada", "wrong")).find_manifest("v1")


# A run that was killed


@contextmanager
def uploading(image: Image, repository: str, journal: Path, stop: int) -> Iterator[subprocess.Popen[str]]:
    """Another process that uploads the image and stays still once it has read so many bytes."""
    layout = str(image.content.layout.path)
    argv = [sys.executable, "-c", UPLOAD, layout, repository, str(journal), str(stop)]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        assert process.stdout.readline() == "half way\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_after_kill_9_the_second_run_sends_only_what_is_missing(image: Image, tmp_path: Path) -> None:
    with RegistryDouble() as double:
        with uploading(image, f"{double.host}/org/app", tmp_path / "journal", len(MODEL) // 2) as process:
            process.kill()
        before = double.wait_for_uploads()
        assert 0 < before < len(MODEL)
        assert double.tags == {}
        client = client_of(double.host, journal=tmp_path / "journal")
        assert send(image, client, "v1") == ["present", "uploaded", "present"]
        blobs = (image.manifest.config, *image.manifest.layers)
        assert double.received == sum(blob.size for blob in blobs)


def test_after_kill_9_docker_registry_is_sent_the_broken_blob_anew(
    image: Image, registry: str, tmp_path: Path
) -> None:
    repository = f"{registry}/org/killed"
    with uploading(image, repository, tmp_path / "journal", len(MODEL) // 2) as process:
        process.kill()
    client = client_of(registry, "org/killed", journal=tmp_path / "journal")
    assert client.tags() == []
    assert send(image, client, "v1") == ["present", "uploaded", "present"]
    assert list((tmp_path / "journal").iterdir()) == []


# The loopback registry


def copy(reference: DigestReference, folder: Path) -> None:
    """Let skopeo pull; it would compress plain layers if it were not asked to keep digests."""
    skopeo(
        "copy", "--preserve-digests", "--src-tls-verify=false", f"docker://{reference}", f"oci:{folder}:v1"
    )


def test_skopeo_copies_an_image_from_the_loopback_registry(image: Image, tmp_path: Path) -> None:
    with serve(image.content, image.name, image) as reference:
        copy(reference, tmp_path / "copy")
    copied = Layout.at(tmp_path / "copy")
    assert copied.image().digest == image.digest
    for layer in image.manifest.layers:
        copied.verify(layer)


def test_skopeo_copies_layers_that_are_still_in_their_registry(
    image: Image, registry: str, tmp_path: Path
) -> None:
    source = client_of(registry, "org/base")
    send(image, source, "v1")
    layout = Layout.create(tmp_path / "thin")
    for blob in (image.descriptor, image.manifest.config):
        layout.write(image.content.layout.read(blob), blob.media_type)
    thin = replace(image, content=Content(layout, {layer.digest: source for layer in image.manifest.layers}))
    with serve(thin.content, thin.name, thin) as reference:
        copy(reference, tmp_path / "copy")
    assert Layout.at(tmp_path / "copy").image().digest == image.digest


# TLS and proxies


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for registry.example that nobody but this test trusts, with its key."""
    path = tmp_path / "registry.example.pem"
    request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=registry.example"]
    names = ["-addext", "subjectAltName=DNS:registry.example"]
    subprocess.run(
        ["openssl", *request, *names, "-keyout", path, "-out", f"{path}.crt"], check=True, capture_output=True
    )
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


@contextmanager
def proxied(double: RegistryDouble, certificate: Path) -> Iterator[tuple[str, list[str]]]:
    """A proxy whose only way out is the double behind TLS; its address, and whom it was asked for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    asked: list[str] = []

    class Tunnel(http.server.BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            asked.append(f"{self.path} {self.headers.get('Proxy-Authorization')}")
            self.send_response(200)
            self.end_headers()
            self.close_connection = True
            with (
                context.wrap_socket(self.connection, server_side=True) as client,
                socket.create_connection(("127.0.0.1", double.port)) as server,
            ):
                relay(client, server)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Tunnel)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://ada:secret@127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def relay(client: ssl.SSLSocket, server: socket.socket) -> None:
    ways = {client: server, server: client}
    while True:
        ready = [client] if client.pending() else select.select(list(ways), [], [], 30)[0]
        for one in ready:
            chunk = one.recv(1 << 16)
            if not chunk:
                return
            ways[one].sendall(chunk)


def test_a_registry_behind_tls_is_reached_through_the_proxy_that_the_environment_names(
    image: Image, certificate: Path
) -> None:
    with RegistryDouble() as double, proxied(double, certificate) as (proxy, asked):
        publish(image, double, "org/app", "v1")
        environ = {"HTTPS_PROXY": proxy, "REQUESTS_CA_BUNDLE": f"{certificate}.crt"}
        client = connector(Credentials(environ=environ))(Repository.parse("registry.example/org/app"))
        found = client.find_manifest("v1")
        assert found
        assert found.digest == image.digest
        layer = image.manifest.layers[1]
        with client.open_blob(layer) as stream:
            assert len(stream.read()) == layer.size
        client.close()
        assert asked == ["registry.example:443 Basic YWRhOnNlY3JldA=="]


def test_a_certificate_that_nobody_issued_is_told_at_once(certificate: Path) -> None:
    with RegistryDouble() as double, proxied(double, certificate) as (proxy, asked):
        client = connector(Credentials(environ={"HTTPS_PROXY": proxy}))(
            Repository.parse("registry.example/x")
        )
        with pytest.raises(CertificateNotTrusted, match="REQUESTS_CA_BUNDLE") as error:
            client.find_manifest("v1")
        assert error.value.exit_code == 8
        assert len(asked) == 1
