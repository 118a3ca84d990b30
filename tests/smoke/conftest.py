"""Images with a small server in them, good or faulty, on the real base image."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import docker
import pytest

from ml_containerize.command import run
from ml_containerize.console import Console
from ml_containerize.oci import media
from ml_containerize.oci.config import RunSettings, extend
from ml_containerize.oci.document import canonical
from ml_containerize.oci.image import Image, open_image
from ml_containerize.oci.layers import Entry, write_layer
from ml_containerize.oci.layout import Layout
from ml_containerize.oci.manifest import Manifest
from ml_containerize.smoke.docker_engine import DockerEngine, open_docker
from ml_containerize.smoke.docker_images import pulled
from ml_containerize.smoke.embedded_engine import open_embedded
from ml_containerize.smoke.engine import Engine

MakeImage = Callable[..., Image]
CREATED = "2026-01-01T00:00:00Z"


@pytest.fixture
def console() -> Console:
    """What people would see, in `console.stream`."""
    return Console(stream=io.StringIO())


@pytest.fixture
def make_image(base_layout: Path, tmp_path: Path) -> MakeImage:
    """Build an image of the base with the faulty server: `make_image("hangs")`."""

    def make(
        fault: str = "", *, env: Mapping[str, str] | None = None, command: tuple[str, ...] = ()
    ) -> Image:
        return build_image(Layout.at(base_layout), tmp_path / f"layout-{fault}", fault, env or {}, command)

    return make


def build_image(
    base: Layout, folder: Path, fault: str, env: Mapping[str, str], command: tuple[str, ...]
) -> Image:
    below, layout = open_image(base), Layout.create(folder)
    server = Entry.file("opt/faulty/server.py", Path(__file__).with_name("faulty_server.py"))
    layer = write_layer(
        layout, [server], compression="zstd", created_by="test", annotations={}, advance=lambda _: None
    )
    for descriptor in below.manifest.layers:
        layout.adopt(base.blob_path(descriptor.digest), descriptor)
    settings = RunSettings(
        user="65532:65532",
        working_dir="/opt/faulty",
        env={"FAULT": fault, "PYTHONDONTWRITEBYTECODE": "1", **env},
        entrypoint=command or ("/usr/bin/python3", "/opt/faulty/server.py"),
        ports=("8080/tcp",),
    )
    config = extend(below.config, [layer], created=CREATED, settings=settings)
    manifest = Manifest(
        layout.write(canonical(config), media.CONFIG), (*below.manifest.layers, layer.descriptor)
    )
    layout.set_image(layout.write(manifest.as_bytes(), media.MANIFEST), "faulty")
    return open_image(layout)


@pytest.fixture(scope="session")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache of unpacked layers for the session: the base is unpacked once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def docker_engine(engine: docker.DockerClient, base_layout: Path) -> Iterator[DockerEngine]:
    """The engine with the base image in it, so that each test's image is a small layer more."""
    opened = open_docker(os.environ, Console(quiet=True))
    with pulled(opened.api, open_image(Layout.at(base_layout)), opened.console):
        yield opened
    opened.api.close()


@pytest.fixture(params=["embedded", "docker"])
def any_engine(request: pytest.FixtureRequest, rootfs: Path, console: Console) -> Engine:
    if request.param == "docker":
        opened: DockerEngine = request.getfixturevalue("docker_engine")
        return replace(opened, console=console)
    return open_embedded(rootfs, run, console)
