"""Images with a small server in them, good or faulty, on the real base image."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from ml_containerize.console import Console
from ml_containerize.oci import media
from ml_containerize.oci.config import RunSettings, extend
from ml_containerize.oci.document import canonical
from ml_containerize.oci.image import Image, open_image
from ml_containerize.oci.layers import Entry, write_layer
from ml_containerize.oci.layout import Layout
from ml_containerize.oci.manifest import Manifest

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
