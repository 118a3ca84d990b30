"""The base image for closed networks."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from base_image import bootstrap_command, mirror_lines, own_platform, pull_layout
from ml_containerize.console import Console
from ml_containerize.oci.credentials import Credentials
from ml_containerize.oci.find import find_image
from ml_containerize.oci.image import open_image
from ml_containerize.oci.layout import Layout
from ml_containerize.oci.registry import connector

TARGETS = """\
Packages|main|bookworm|http://mirror.example/debian/
Packages|contrib|bookworm|http://mirror.example/debian/
Translations|main|bookworm|http://mirror.example/debian/
Packages|main|bookworm-security|http://mirror.example/debian-security/
Packages|main|trixie|http://mirror.example/debian/
Packages|main|bookworm|https://apt.example/another-vendor/
"""


def test_the_machines_own_mirror_serves_without_other_vendors_releases_and_components() -> None:
    assert mirror_lines(TARGETS, "bookworm", ("main",)) == [
        "deb http://mirror.example/debian-security/ bookworm-security main",
        "deb http://mirror.example/debian/ bookworm main",
    ]


@pytest.mark.parametrize(
    ("lines", "named"), [("", False), ("deb http://mirror.example/debian/ bookworm main", True)]
)
def test_mmdebstrap_chooses_a_mirror_where_the_machine_names_none(
    tmp_path: Path, lines: str, named: bool
) -> None:
    sources = tmp_path / "sources.list"
    sources.write_text(lines)
    command = bootstrap_command("mmdebstrap", "bookworm", tmp_path / "root.tar", sources)
    assert (command[-1] == str(sources)) is named
    assert command.index("bookworm") < command.index(str(tmp_path / "root.tar"))


@pytest.mark.e2e
def test_a_base_image_that_can_be_pulled_lies_whole_in_the_layout(
    base_layout: Path, registry: str, skopeo: str, tmp_path: Path
) -> None:
    name = f"{registry}/pulled-base:1"
    subprocess.run(
        [skopeo, "copy", "-q", "--dest-tls-verify=false", f"oci:{base_layout}", f"docker://{name}"],
        check=True,
    )
    pull_layout(
        find_image(name, own_platform(), connector(Credentials())), tmp_path / "layout", Console(quiet=True)
    )
    pulled = open_image(Layout.at(tmp_path / "layout"))
    assert pulled.digest == open_image(Layout.at(base_layout)).digest
    for layer in pulled.manifest.layers:
        pulled.content.layout.verify(layer)


@pytest.mark.e2e
def test_nothing_of_the_machine_that_made_it_is_in_the_base_image(base_layout: Path) -> None:
    if open_image(Layout.at(base_layout)).name.startswith("python"):
        pytest.skip("the default base image was pulled; it was made elsewhere")
    layer = open_image(Layout.at(base_layout)).manifest.layers[0]
    listed = subprocess.run(
        ["tar", "tzf", Layout.at(base_layout).blob_path(layer.digest)],
        capture_output=True,
        text=True,
        check=True,
    )
    names = set(listed.stdout.splitlines())
    assert "./usr/bin/python3" in names
    assert not names & {"./etc/hostname", "./etc/resolv.conf", "./dev/null"}
    assert not [
        name for name in names if name.startswith(("./var/log/", "./tmp/")) and not name.endswith("/")
    ]
