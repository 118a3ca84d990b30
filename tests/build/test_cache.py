from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from doubles.builds import write_environment

from ml_containerize.build.cache import EnvironmentCache
from ml_containerize.build.image import own_layers
from ml_containerize.names import EnvironmentKey
from ml_containerize.oci.blobs import CorruptBlob
from ml_containerize.oci.content import Content
from ml_containerize.oci.image import FoundImage
from ml_containerize.oci.layout import Layout
from ml_containerize.oci.registry import Connect
from ml_containerize.plan.decide import Plan

DAY = 86400.0
KEY = EnvironmentKey("3" * 64)


@pytest.fixture
def built(tmp_path: Path) -> Layout:
    return Layout.create(tmp_path / "built")


@pytest.fixture
def environment(make_plan: object, built: Layout, connect: Connect) -> FoundImage:
    plan: Plan = make_plan()  # type: ignore[operator]
    return write_environment(plan, built, connect)


@pytest.fixture
def cache(tmp_path: Path, environment: FoundImage, built: Layout) -> EnvironmentCache:
    cache = EnvironmentCache(tmp_path / "cache")
    cache.keep(KEY, environment, built)
    return cache


def test_a_kept_environment_is_found_by_its_key_with_its_own_layers_there(
    cache: EnvironmentCache, environment: FoundImage, tmp_path: Path
) -> None:
    base = Layout(tmp_path / "base")
    found = cache.find(KEY, base)
    assert found
    assert (found.digest, found.config) == (environment.digest, environment.config)
    assert {found.sources[layer.digest] for layer in own_layers(found)} == {cache.layout}
    assert found.sources[found.manifest.layers[0].digest] == base


def test_another_key_is_not_found(cache: EnvironmentCache, tmp_path: Path) -> None:
    assert cache.find(EnvironmentKey("4" * 64), Layout(tmp_path)) is None


def test_an_empty_cache_finds_nothing(tmp_path: Path) -> None:
    assert EnvironmentCache(tmp_path / "none").find(KEY, Layout(tmp_path)) is None


def test_blobs_are_links_and_take_no_room_twice(
    cache: EnvironmentCache, environment: FoundImage, built: Layout
) -> None:
    layer = own_layers(environment)[0]
    assert cache.layout.blob_path(layer.digest).samefile(built.blob_path(layer.digest))


def test_a_blob_that_broke_is_noticed_when_it_is_taken(
    cache: EnvironmentCache, environment: FoundImage, tmp_path: Path
) -> None:
    found, layer = cache.find(KEY, Layout(tmp_path)), own_layers(environment)[0]
    damage(cache.layout, layer.digest.hex)
    assert found
    with pytest.raises(CorruptBlob):
        Content(Layout.create(tmp_path / "new"), found.sources).pull(layer)


def test_after_a_broken_blob_was_dropped_the_environment_counts_as_not_there(
    cache: EnvironmentCache, environment: FoundImage, tmp_path: Path
) -> None:
    cache.drop(own_layers(environment)[0])
    assert cache.find(KEY, Layout(tmp_path)) is None


@pytest.mark.parametrize("part", ["manifest", "config", "key"])
def test_a_broken_description_counts_as_not_there(
    cache: EnvironmentCache, environment: FoundImage, tmp_path: Path, part: str
) -> None:
    if part == "key":
        (cache.folder / "keys" / KEY.hex).write_bytes(b"{")
    else:
        digest = environment.digest if part == "manifest" else environment.manifest.config.digest
        damage(cache.layout, digest.hex)
    assert cache.find(KEY, Layout(tmp_path)) is None


def test_what_no_build_used_for_a_month_is_forgotten(
    cache: EnvironmentCache, environment: FoundImage, built: Layout, tmp_path: Path
) -> None:
    now = (cache.folder / "keys" / KEY.hex).stat().st_mtime + 31 * DAY
    other = EnvironmentKey("4" * 64)
    later = replace(cache, now=lambda: now)
    later.keep(other, environment, built)
    assert later.find(KEY, Layout(tmp_path)) is None
    assert later.find(other, Layout(tmp_path))


def test_using_an_environment_keeps_it(
    cache: EnvironmentCache, environment: FoundImage, built: Layout, tmp_path: Path
) -> None:
    start = (cache.folder / "keys" / KEY.hex).stat().st_mtime
    assert replace(cache, now=lambda: start + 20 * DAY).find(KEY, Layout(tmp_path))
    later = replace(cache, now=lambda: start + 40 * DAY)
    later.keep(EnvironmentKey("4" * 64), environment, built)
    assert later.find(KEY, Layout(tmp_path))


def test_blobs_that_no_environment_needs_are_deleted(
    cache: EnvironmentCache, environment: FoundImage, built: Layout
) -> None:
    stray = cache.layout.write(b"left by a killed run", "text/plain")
    cache.keep(KEY, environment, built)
    assert not cache.layout.has(stray.digest)
    assert all(cache.layout.has(layer.digest) for layer in own_layers(environment))


def damage(layout: Layout, name: str) -> None:
    """Overwrite a blob with other bytes of the same length, as a failing disk does."""
    path = layout.path / "blobs" / "sha256" / name
    size = path.stat().st_size
    os.truncate(path, 0)
    os.truncate(path, size)
