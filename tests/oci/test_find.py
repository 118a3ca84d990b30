from __future__ import annotations

from pathlib import Path

import pytest
from doubles.images import LINUX, publish, publish_index, write_image
from doubles.registry_double import RegistryDouble
from doubles.registry_fixtures import MakeDouble

from ml_containerize.names import Platform, Repository
from ml_containerize.oci.credentials import Credentials
from ml_containerize.oci.document import MalformedContent
from ml_containerize.oci.find import ImageNotFound, ImageNotReadable, find_image, resolve_base
from ml_containerize.oci.layout import Layout, NotALayout
from ml_containerize.oci.manifest import PlatformNotFound
from ml_containerize.oci.refusals import Unreachable
from ml_containerize.oci.registry import Connect, connector

ARM = Platform("linux", "arm64")


@pytest.fixture
def connect() -> Connect:
    return connector(Credentials(), sleep=lambda _: None)


def test_an_image_is_found_by_its_tag_with_its_layers_left_where_they_are(
    double: RegistryDouble, connect: Connect, tmp_path: Path
) -> None:
    made = write_image(tmp_path / "made", {"a": b"1"}, {"b": b"2"}, labels={"x": "y"})
    publish(made, double, "org/app", "v1")
    found = find_image(f"{double.host}/org/app:v1", LINUX, connect)
    assert found.digest == made.digest
    assert found.labels == {"x": "y"}
    assert not double.asked("GET", str(made.manifest.layers[0].digest))
    image = found.into(Layout.create(tmp_path / "found"))
    layer = made.manifest.layers[0]
    assert not image.content.has(layer.digest)
    with image.content.open(layer) as stream:
        assert stream.read() == made.content.layout.read(layer)
    assert image.content.repository_of(layer.digest) == Repository(double.host, "org/app")


def test_an_image_is_found_by_its_digest(double: RegistryDouble, connect: Connect, tmp_path: Path) -> None:
    made = write_image(tmp_path, {"a": b"1"})
    publish(made, double, "org/app")
    assert find_image(f"{double.host}/org/app@{made.digest}", LINUX, connect).digest == made.digest


def test_an_index_leads_to_the_platforms_image(
    double: RegistryDouble, connect: Connect, tmp_path: Path
) -> None:
    amd = write_image(tmp_path / "amd", {"a": b"amd"})
    arm = write_image(tmp_path / "arm", {"a": b"arm"}, platform=ARM)
    publish_index([amd, arm], double, "org/app", "v1")
    assert find_image(f"{double.host}/org/app:v1", LINUX, connect).digest == amd.digest
    assert find_image(f"{double.host}/org/app:v1", ARM, connect).digest == arm.digest


def test_a_platform_that_is_not_there_is_told_with_those_that_are(
    double: RegistryDouble, connect: Connect, tmp_path: Path
) -> None:
    amd = write_image(tmp_path, {"a": b"amd"})
    publish_index([amd], double, "org/index", "v1")
    publish(amd, double, "org/single", "v1")
    for name in ("index", "single"):
        with pytest.raises(PlatformNotFound, match=r"no variant for linux/arm64; it has: linux/amd64"):
            find_image(f"{double.host}/org/{name}:v1", ARM, connect)
    with pytest.raises(PlatformNotFound):
        find_image(str(tmp_path), ARM, connect)


def test_an_image_that_does_not_exist(double: RegistryDouble, connect: Connect) -> None:
    for look in (find_image, resolve_base):
        with pytest.raises(ImageNotFound, match=rf"{double.host}/org/app:v1 does not exist") as error:
            look(f"{double.host}/org/app:v1", LINUX, connect)
        assert error.value.exit_code == 4


@pytest.mark.parametrize("auth", ["basic", "token"])
def test_an_image_that_needs_a_login(make_double: MakeDouble, connect: Connect, auth: str) -> None:
    host = make_double(auth=auth).host
    for look in (find_image, resolve_base):
        with pytest.raises(ImageNotReadable, match=rf"wants a login(.|\n)*docker login {host}") as error:
            look(f"{host}/org/app:v1", LINUX, connect)
        assert error.value.exit_code == 4


def test_a_registry_that_cannot_be_reached(connect: Connect) -> None:
    with pytest.raises(Unreachable) as error:
        find_image("localhost:1/org/app", LINUX, connect)
    assert error.value.exit_code == 8


def test_an_image_is_found_in_a_layout_folder(connect: Connect, tmp_path: Path) -> None:
    made = write_image(tmp_path / "made", {"a": b"1"}, name="base:v1")
    found = find_image(str(tmp_path / "made"), LINUX, connect)
    assert (found.digest, found.name) == (made.digest, "base:v1")
    image = found.into(Layout.create(tmp_path / "found"))
    layer = made.manifest.layers[0]
    image.content.pull(layer)
    assert image.content.layout.read(layer) == made.content.layout.read(layer)
    assert image.content.repository_of(layer.digest) is None


def test_a_path_that_is_no_layout(connect: Connect, tmp_path: Path) -> None:
    with pytest.raises(NotALayout):
        find_image(str(tmp_path), LINUX, connect)


def test_an_artifact_that_is_no_image(double: RegistryDouble, connect: Connect) -> None:
    body = b'{"schemaVersion":2,"manifests":[]}'
    double.put_manifest("org/app", body, "application/vnd.example+json", "v1")
    with pytest.raises(MalformedContent):
        find_image(f"{double.host}/org/app:v1", LINUX, connect)


def test_a_base_is_pinned_by_the_digest_that_its_tag_has_now(
    double: RegistryDouble, connect: Connect, tmp_path: Path
) -> None:
    made = write_image(tmp_path, {"a": b"1"})
    publish(made, double, "org/base", "v1")
    base = resolve_base(f"{double.host}/org/base:v1", LINUX, connect)
    assert base.name == f"{double.host}/org/base:v1"
    assert base.digest == made.digest
    assert base.where == f"{double.host}/org/base@{made.digest}"
    assert double.count() == {"HEAD": 1}


def test_a_base_in_a_layout_has_its_images_digest(connect: Connect, tmp_path: Path) -> None:
    made = write_image(tmp_path, {"a": b"1"}, name="base:v1")
    base = resolve_base(str(tmp_path), LINUX, connect)
    assert (base.name, base.digest, base.where) == ("base:v1", made.digest, str(tmp_path))
