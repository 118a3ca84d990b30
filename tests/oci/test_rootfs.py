from __future__ import annotations

import io
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from support.tars import file, tar

from ml_containerize.console import Console
from ml_containerize.names import Digest
from ml_containerize.oci import media, rootfs
from ml_containerize.oci.blobs import MissingBlob
from ml_containerize.oci.document import canonical
from ml_containerize.oci.image import Image, open_image
from ml_containerize.oci.layout import Layout
from ml_containerize.oci.manifest import Manifest
from ml_containerize.oci.rootfs import RootFolders, WrongLayer, chain_id

BASE = {"etc/passwd": b"root", "usr/bin/python": b"PROGRAM", "var/old": b"old"}
MODEL = {"opt/ml/model/model.keras": b"model"}


def write_image(folder: Path, *layers: Mapping[str, bytes]) -> Image:
    """An image of plain tar layers, lowest first; a name such as `.wh.old` deletes."""
    layout = Layout.create(folder)
    archives = [tar(file(name, content) for name, content in layer.items()) for layer in layers]
    written = [layout.write(archive, media.LAYER_TAR) for archive in archives]
    diff_ids = [str(Digest.of(archive)) for archive in archives]
    config = {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    manifest = Manifest(layout.write(canonical(config), media.CONFIG), tuple(written))
    layout.set_image(layout.write(manifest.as_bytes(), media.MANIFEST), "test")
    return open_image(layout)


@pytest.fixture
def folders(tmp_path: Path) -> RootFolders:
    return RootFolders(tmp_path / "cache" / "rootfs", Console(stream=io.StringIO()))


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def test_each_layer_has_a_folder_of_its_own_lowest_first(tmp_path: Path, folders: RootFolders) -> None:
    image = write_image(tmp_path / "image", BASE, MODEL)
    lower, upper = folders.of(image)
    assert (files(lower), files(upper)) == (set(BASE), set(MODEL))
    assert lower.name == image.layers[0].diff_id.hex


def test_a_layer_is_unpacked_once_for_all_images(tmp_path: Path, folders: RootFolders) -> None:
    first = folders.of(write_image(tmp_path / "a", BASE, MODEL))
    (first[0] / "mark").touch()
    second = folders.of(write_image(tmp_path / "b", BASE, {"opt/ml/model/model.keras": b"another"}))
    assert second[0] == first[0]
    assert (second[0] / "mark").exists()
    assert second[1] != first[1]


def test_a_layer_that_deletes_is_merged_with_all_below_it(tmp_path: Path, folders: RootFolders) -> None:
    image = write_image(tmp_path / "image", BASE, {"var/.wh.old": b"", "var/new": b"new"}, MODEL)
    for _ in range(2):
        merged, model = folders.of(image)
        assert files(merged) == {"etc/passwd", "usr/bin/python", "var/new"}
        assert files(model) == set(MODEL)
    assert merged.name == chain_id([layer.diff_id for layer in image.layers[:2]]).hex


def test_only_the_highest_deletion_counts(tmp_path: Path, folders: RootFolders) -> None:
    image = write_image(
        tmp_path / "image", BASE, {"var/.wh.old": b""}, {"etc/.wh.passwd": b""}, {"etc/passwd": b"again"}
    )
    merged, upper = folders.of(image)
    assert files(merged) == {"usr/bin/python"}
    assert files(upper) == {"etc/passwd"}


def test_more_layers_than_a_mount_can_name_are_merged(tmp_path: Path, folders: RootFolders) -> None:
    layers = [{f"layer-{number}": b""} for number in range(60)]
    found = folders.of(write_image(tmp_path / "image", *layers))
    assert 1 < len(found) < 60
    assert sum(len(str(folder)) for folder in found) < 4000
    assert set().union(*map(files, found)) == {f"layer-{number}" for number in range(60)}


def test_the_chain_id_is_as_the_specification_has_it() -> None:
    one, two = Digest.of(b"1"), Digest.of(b"2")
    assert chain_id([one]) == one
    assert chain_id([one, two]) == Digest.of(f"{one} {two}".encode())


def test_a_layer_that_is_not_what_the_image_says_is_refused_and_leaves_nothing(
    tmp_path: Path, folders: RootFolders
) -> None:
    image = write_image(tmp_path / "image", BASE)
    blob = image.content.layout.blob_path(image.layers[0].descriptor.digest)
    blob.write_bytes(blob.read_bytes().replace(b"PROGRAM", b"ANOTHER"))
    with pytest.raises(WrongLayer):
        folders.of(image)
    assert left_in(folders) == []


def test_a_layer_that_is_nowhere_leaves_nothing(tmp_path: Path, folders: RootFolders) -> None:
    image = write_image(tmp_path / "image", BASE)
    image.content.layout.blob_path(image.layers[0].descriptor.digest).unlink()
    with pytest.raises(MissingBlob):
        folders.of(image)
    assert left_in(folders) == []


def left_in(folders: RootFolders) -> list[str]:
    return [str(path) for path in folders.cache.rglob("*") if path.is_file() or "unfinished" in path.name]


def test_a_run_that_was_slower_takes_the_faster_ones_folder(tmp_path: Path) -> None:
    partial, folder = tmp_path / "partial", tmp_path / "layers" / "x"
    for path in (partial, folder):
        path.mkdir(parents=True)
        (path / "file").touch()
    rootfs._put(partial, folder)
    assert partial.exists()
    assert files(folder) == {"file"}


def test_what_no_run_used_for_a_month_is_forgotten(tmp_path: Path, folders: RootFolders) -> None:
    old: Image = write_image(tmp_path / "old", {"old": b""})
    kept: Image = write_image(tmp_path / "kept", {"kept": b""})
    (gone,) = folders.of(old)
    later = replace(folders, now=lambda: time.time() + 31 * 86400)
    (there,) = later.of(kept)
    assert not gone.exists()
    assert there.exists()


def test_what_a_killed_run_left_is_cleared_away_a_day_later(tmp_path: Path, folders: RootFolders) -> None:
    image = write_image(tmp_path / "image", BASE)
    leftover = folders.cache / "unfinished-1"
    leftover.mkdir(parents=True)
    folders.of(image)
    assert leftover.exists()
    replace(folders, now=lambda: time.time() + 2 * 86400).of(image)
    assert not leftover.exists()
