from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ml_containerize.oci.layers import Entry, write_layer
from ml_containerize.oci.layout import Layout

AWKWARD = [
    "plain",
    "with space",
    "naïve/日本語",
    "new\nline",
    "d" * 120 + "/" + "n" * 120,
    "é" * 100,
    "-dash",
]


@pytest.mark.e2e
def test_gnu_tar_extracts_a_layer_as_it_was_meant(tmp_path: Path) -> None:
    layout = Layout.create(tmp_path / "layout")
    files = [Entry.bytes(f"opt/{name}", name.encode(), executable=True) for name in AWKWARD]
    links = [Entry.link(f"links/{number}", f"../opt/{name}") for number, name in enumerate(AWKWARD)]
    layer = write_layer(layout, [*files, *links], compression="none", created_by="")
    (tmp_path / "out").mkdir()
    archive = layout.blob_path(layer.descriptor.digest)
    command = ["tar", "--extract", "--no-same-owner", "--file", archive, "--directory", tmp_path / "out"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stderr == ""
    for number, name in enumerate(AWKWARD):
        assert (tmp_path / "out" / "opt" / name).read_text() == name
        assert (tmp_path / "out" / "links" / str(number)).read_text() == name
        assert (tmp_path / "out" / "opt" / name).stat().st_mtime == 315532800
