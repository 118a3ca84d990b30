from __future__ import annotations

import http.client
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from doubles.images import publish, write_image
from doubles.registry_double import RegistryDouble
from doubles.registry_fixtures import ConnectTo, MakeDouble

from ml_containerize.names import Digest, DigestReference, Repository
from ml_containerize.oci.content import Content
from ml_containerize.oci.credentials import Credentials
from ml_containerize.oci.image import Image
from ml_containerize.oci.layout import Layout
from ml_containerize.oci.loopback import repository_path, serve
from ml_containerize.oci.refusals import LoginNeeded
from ml_containerize.oci.registry import RegistryClient, connector

LAYER = os.urandom(3 << 20)


@pytest.fixture
def image(tmp_path: Path) -> Image:
    return write_image(tmp_path / "layout", {"opt/model": LAYER})


@pytest.fixture
def served(image: Image) -> Iterator[DigestReference]:
    with serve(image.content, image.name, image) as reference:
        yield reference


def client(reference: DigestReference) -> RegistryClient:
    return connector(Credentials(), attempts=1)(reference.repository)


def get(
    reference: DigestReference, path: str, method: str = "GET", **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection(reference.repository.registry)
    connection.request(method, path, headers=headers)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response, body


def test_the_image_is_pulled_by_digest_with_every_blob(image: Image, served: DigestReference) -> None:
    assert str(served).startswith("127.0.0.1:")
    assert served.repository.path == "digits"
    descriptor, body = client(served).get_manifest(image.digest)
    assert descriptor == replace(image.descriptor, annotations={})
    assert Digest.of(body) == image.digest
    for blob in (image.manifest.config, *image.manifest.layers):
        assert client(served).has_blob(blob.digest)
        with client(served).open_blob(blob) as stream:
            assert stream.read() == image.content.layout.read(blob)


def test_clients_ask_first_if_this_is_a_registry(served: DigestReference) -> None:
    for path in ("/v2/", "/v2"):
        response, _ = get(served, path)
        assert (response.status, response.headers["Docker-Distribution-API-Version"]) == (200, "registry/2.0")


def test_nothing_else_is_there(image: Image, served: DigestReference, tmp_path: Path) -> None:
    layer = image.manifest.layers[0].digest
    (tmp_path / "layout/blobs/sha256" / ("0" * 64)).write_text("not of this image")
    for path in (
        "/",
        "/etc/passwd",
        "/v2/_catalog",
        "/v2/digits/tags/list",
        "/v2/digits/manifests/latest",
        f"/v2/other/blobs/{layer}",
        f"/v2/digits/manifests/{layer}",
        f"/v2/digits/blobs/sha256:{'0' * 64}",
        "/v2/digits/blobs/sha256:../../../index.json",
    ):
        response, body = get(served, path)
        assert response.status == 404
        assert json.loads(body)["errors"][0]["code"] in {"BLOB_UNKNOWN", "MANIFEST_UNKNOWN"}


@pytest.mark.parametrize("method", ["PUT", "POST", "PATCH", "DELETE"])
def test_nothing_can_be_written(served: DigestReference, method: str) -> None:
    assert get(served, "/v2/digits/blobs/uploads/", method)[0].status == 501


@pytest.mark.parametrize(
    ("asked", "status", "first", "last"),
    [
        ("bytes=0-0", 206, 0, 1),
        ("bytes=1000-", 206, 1000, None),
        ("bytes=1000-1999", 206, 1000, 2000),
        ("bytes=-100", 206, -100, None),
        ("bytes=0-", 200, 0, None),
        ("bytes=0-1,5-6", 200, 0, None),
        ("bytes=-", 200, 0, None),
        ("rubbish", 200, 0, None),
        ("bytes=5-99999999", 206, 5, None),
    ],
)
def test_a_range_is_answered_with_its_part(
    image: Image, served: DigestReference, asked: str, status: int, first: int, last: int | None
) -> None:
    layer = image.manifest.layers[0]
    content = image.content.layout.read(layer)
    response, body = get(served, f"/v2/digits/blobs/{layer.digest}", Range=asked)
    assert response.status == status
    assert body == content[first:last]


def test_a_range_beyond_the_end_cannot_be_satisfied(image: Image, served: DigestReference) -> None:
    layer = image.manifest.layers[0]
    response, _ = get(served, f"/v2/digits/blobs/{layer.digest}", Range="bytes=99999999-")
    assert (response.status, response.headers["Content-Range"]) == (416, f"bytes */{layer.size}")


def test_several_clients_are_served_at_once_over_connections_they_keep(
    image: Image, served: DigestReference
) -> None:
    layer, read = image.manifest.layers[0], []

    def pull() -> None:
        one = client(served)
        for _ in range(3):
            with one.open_blob(layer) as stream:
                read.append(len(stream.read()))

    threads = [threading.Thread(target=pull) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read == [layer.size] * 12


# Blobs that the layout lacks


def without_layers(image: Image, folder: Path, source: RegistryClient) -> Image:
    """The same image in a layout that holds its manifest and configuration only."""
    layout = Layout.create(folder)
    for blob in (image.descriptor, image.manifest.config):
        layout.write(image.content.layout.read(blob), blob.media_type)
    sources = {layer.digest: source for layer in image.manifest.layers}
    return replace(image, content=Content(layout, sources))


def test_what_the_layout_lacks_is_streamed_from_its_source(
    image: Image, double: RegistryDouble, connect: ConnectTo, tmp_path: Path
) -> None:
    publish(image, double, "org/base")
    remote = without_layers(image, tmp_path / "remote", connect(double, "org/base"))
    layer = image.manifest.layers[0]
    with serve(remote.content, remote.name, remote) as reference:
        with client(reference).open_blob(layer) as stream:
            assert stream.read() == image.content.layout.read(layer)
        response, body = get(reference, f"/v2/digits/blobs/{layer.digest}", Range="bytes=100-199")
        assert (response.status, body) == (206, image.content.layout.read(layer)[100:200])
    assert not remote.content.has(layer.digest)


def test_a_source_that_fails_is_the_error_that_is_told(
    image: Image, make_double: MakeDouble, connect: ConnectTo, tmp_path: Path
) -> None:
    double = make_double(auth="basic")
    remote = without_layers(image, tmp_path / "remote", connect(double, "org/base"))

    def pull() -> None:
        with serve(remote.content, remote.name, remote) as reference:
            response, body = get(reference, f"/v2/digits/blobs/{image.manifest.layers[0].digest}")
            assert response.status == 403  # the answer that no engine tries again
            raise RuntimeError(body)

    with pytest.raises(LoginNeeded, match="docker login"):
        pull()


def test_a_damaged_layer_is_served_as_it_is_and_the_client_notices(
    image: Image, served: DigestReference, tmp_path: Path
) -> None:
    layer = image.manifest.layers[0]
    image.content.layout.blob_path(layer.digest).write_bytes(b"short")
    with pytest.raises(Exception, match=r"broke off|should hold"), client(served).open_blob(layer) as stream:
        stream.read()


def test_nothing_listens_afterwards(image: Image) -> None:
    with serve(image.content, image.name, image) as reference:
        kept = http.client.HTTPConnection(reference.repository.registry)
        kept.request("GET", "/v2/")
        kept.getresponse().read()
    kept.auto_open = 0
    for ask in (lambda: get(reference, "/v2/"), lambda: kept.request("GET", "/v2/") or kept.getresponse()):
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            ask()
    assert "loopback" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("digits", "digits"),
        ("digits:latest", "digits"),
        ("ghcr.io/org/Digits:v1", "digits"),
        ("localhost:5000/org/digits@sha256:0", "digits"),
        ("/home/ada/My Model/layout", "layout"),
        ("/", "image"),
        ("Ärger_2", "rger-2"),
    ],
)
def test_any_name_becomes_a_repository(name: str, path: str) -> None:
    assert repository_path(name) == path
    assert Repository("127.0.0.1:1", path)
