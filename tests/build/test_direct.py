from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from doubles.builds import Runs, publish_environment, write_environment
from doubles.registry_double import RegistryDouble

from ml_containerize.build.direct import (
    AnotherImage,
    CacheUnusable,
    NothingBuilt,
    build,
    open_built,
    predict_image,
)
from ml_containerize.build.environment import environment_cache
from ml_containerize.build.work_folder import PREFIX
from ml_containerize.command import Completed
from ml_containerize.console import Console
from ml_containerize.names import Digest
from ml_containerize.oci.blobs import DiskFull
from ml_containerize.oci.image import Image
from ml_containerize.oci.layout import ENVIRONMENT, Layout
from ml_containerize.oci.registry import Connect
from ml_containerize.plan.decide import Plan
from ml_containerize.plan.environment.requirements import Requirement
from ml_containerize.plan.model.model import OWN_LAYER_SIZE

MakePlan = Callable[..., Plan]
Build = Callable[[Plan], Image]


@pytest.fixture
def build_image(connect: Connect, console: Console, runs: Runs) -> Build:
    """Build on an environment that the local cache has."""

    def do(plan: Plan) -> Image:
        elsewhere = Layout.create(plan.settings.cache / "elsewhere")
        environment_cache(plan).keep(
            plan.environment.key, write_environment(plan, elsewhere, connect), elsewhere
        )
        return build(plan, connect=connect, run=runs, console=console, environ={})

    return do


def blobs(plan: Plan) -> set[str]:
    return {path.name for path in (plan.settings.output / "layout" / "blobs" / "sha256").iterdir()}


def test_the_layout_holds_the_image_and_lists_its_environment(
    make_plan: MakePlan, build_image: Build
) -> None:
    plan = make_plan()
    image = build_image(plan)
    layout = Layout.at(plan.settings.output / "layout")
    assert layout.image().digest == image.digest
    environment = layout.environment()
    assert environment
    assert environment.annotations[ENVIRONMENT] == str(plan.environment.key)
    assert layout.read(environment)


def test_no_program_is_started_where_the_environment_is_known(
    make_plan: MakePlan, build_image: Build, runs: Runs
) -> None:
    build_image(make_plan())
    assert not runs.seen


def test_the_same_plan_gives_the_same_digest(make_plan: MakePlan, build_image: Build) -> None:
    assert build_image(make_plan()).digest == build_image(make_plan()).digest


def test_another_model_gives_another_image_on_the_same_environment(
    make_plan: MakePlan, build_image: Build
) -> None:
    first, second = build_image(make_plan()), build_image(make_plan({"model.keras": b"other weights"}))
    assert first.manifest.layers[:3] == second.manifest.layers[:3]
    assert first.manifest.layers[3] != second.manifest.layers[3]


def test_what_an_earlier_build_left_is_deleted(make_plan: MakePlan, build_image: Build) -> None:
    plan = make_plan()
    first = build_image(plan)
    killed = plan.settings.output / f"{PREFIX}killed"
    killed.mkdir()
    (killed / "half a package").touch()
    second = build_image(make_plan({"model.keras": b"other weights"}))
    assert first.digest.hex not in blobs(plan)
    assert second.digest.hex in blobs(plan)
    assert not killed.exists()


def test_the_bases_layers_stay_where_they_are(make_plan: MakePlan, build_image: Build) -> None:
    plan = make_plan()
    image = build_image(plan)
    base = image.manifest.layers[0]
    assert base.digest.hex not in blobs(plan)
    with image.content.open(base) as stream:
        assert Digest.of(stream.read()) == base.digest


def test_a_disk_without_room_is_refused_before_the_work(make_plan: MakePlan, build_image: Build) -> None:
    plan = make_plan()
    huge = tuple(replace(file, size=1 << 60) for file in plan.model.files)
    with pytest.raises(DiskFull, match="No space left"):
        build_image(replace(plan, model=replace(plan.model, files=huge)))


def test_a_disk_that_fills_up_in_the_middle_is_named_and_nothing_half_done_stays(
    make_plan: MakePlan, connect: Connect, console: Console
) -> None:
    def full(*_: object, **__: object) -> Completed:
        raise OSError(errno.ENOSPC, "No space left on device")

    plan = make_plan()
    flask = Requirement("flask", "3.1.3", "", (f"sha256:{'0' * 64}",))
    plan = replace(plan, environment=replace(plan.environment, requirements=(flask,)))
    with pytest.raises(DiskFull, match=str(plan.settings.output)):
        build(plan, connect=connect, run=full, console=console, environ={})
    assert {path.name for path in plan.settings.output.iterdir()} == {"layout"}
    assert not blobs(plan)


def test_a_cache_folder_that_cannot_be_made_is_named(
    make_plan: MakePlan, connect: Connect, runs: Runs
) -> None:
    plan = make_plan()
    plan.settings.cache.touch()
    with pytest.raises(CacheUnusable, match=str(plan.settings.cache)) as caught:
        build(plan, connect=connect, run=runs, console=Console(quiet=True), environ={})
    assert "--cache-dir" in caught.value.fix


@pytest.fixture
def published(make_plan: MakePlan, double: RegistryDouble, connect: Connect, tmp_path: Path) -> MakePlan:
    """Plans whose environment is in the registry and nowhere on this machine."""

    def make(files: dict[str, bytes] | None = None) -> Plan:
        plan = make_plan(files, images=f"{double.host}/org/digits", push=True)
        elsewhere = Layout.create(tmp_path / "elsewhere")
        environment = write_environment(plan, elsewhere, connect)
        publish_environment(environment, elsewhere, double, "org/digits", plan.environment.key.tag)
        return plan

    return make


def test_the_digest_is_known_before_anything_is_built(
    published: MakePlan, connect: Connect, console: Console, runs: Runs
) -> None:
    plan = published({"large.keras": bytes(OWN_LAYER_SIZE), "metadata.json": b"{}"})
    predicted = predict_image(plan, connect=connect, console=console)
    built = build(plan, connect=connect, run=runs, console=console, environ={})
    assert predicted
    assert predicted.digest == built.digest
    assert predicted.content.layout.read(predicted.descriptor)


def test_predicting_writes_no_large_layer_and_asks_for_two_small_documents_only(
    published: MakePlan, double: RegistryDouble, connect: Connect, console: Console
) -> None:
    plan = published({"large.keras": bytes(OWN_LAYER_SIZE)})
    double.seen.clear()
    predicted = predict_image(plan, connect=connect, console=console)
    assert predicted
    assert not predicted.content.layout.has(predicted.manifest.layers[-1].digest)
    assert [seen.method for seen in double.seen if "/org/digits/" in seen.path] == ["GET", "GET"]


def test_a_released_images_layers_are_read_from_its_release(
    published: MakePlan, double: RegistryDouble, connect: Connect, console: Console, runs: Runs
) -> None:
    plan = published()
    built = build(plan, connect=connect, run=runs, console=console, environ={})
    for layer in built.manifest.layers:
        with built.content.open(layer) as stream:
            double.put_blob("org/digits", stream.read())
    predicted = predict_image(plan, connect=connect, console=console)
    assert predicted
    assert {str(predicted.content.repository_of(one.digest)) for one in predicted.manifest.layers} == {
        f"{double.host}/org/digits"
    }


def test_an_unknown_environment_cannot_be_predicted(
    make_plan: MakePlan, double: RegistryDouble, connect: Connect, console: Console
) -> None:
    plan = make_plan(images=f"{double.host}/org/digits", push=True)
    assert predict_image(plan, connect=connect, console=console) is None


def test_what_was_built_can_be_opened_again(
    make_plan: MakePlan, build_image: Build, connect: Connect, console: Console
) -> None:
    plan = make_plan()
    image = build_image(plan)
    again = open_built(plan, connect=connect, console=console)
    assert again.digest == image.digest
    for layer in again.manifest.layers:
        with again.content.open(layer) as stream:
            assert Digest.of(stream.read()) == layer.digest


def test_layers_that_only_a_registry_has_are_found_when_it_is_opened_again(
    published: MakePlan, double: RegistryDouble, connect: Connect, console: Console, runs: Runs
) -> None:
    plan = published()
    build(plan, connect=connect, run=runs, console=console, environ={})
    again = open_built(plan, connect=connect, console=console)
    for layer in again.manifest.layers:
        with again.content.open(layer) as stream:
            assert Digest.of(stream.read()) == layer.digest


@pytest.mark.parametrize("begun", [False, True], ids=["no layout", "an empty layout"])
def test_where_nothing_was_built_the_first_step_is_named(
    make_plan: MakePlan, connect: Connect, console: Console, begun: bool
) -> None:
    plan = make_plan()
    if begun:
        Layout.create(plan.settings.output / "layout")
    with pytest.raises(NothingBuilt) as caught:
        open_built(plan, connect=connect, console=console)
    assert "ml-containerize build" in caught.value.fix


def test_another_projects_image_is_not_taken_for_this_ones(
    make_plan: MakePlan, build_image: Build, connect: Connect, console: Console
) -> None:
    build_image(make_plan())
    with pytest.raises(AnotherImage, match="is now sha-5555") as caught:
        open_built(make_plan({"model.keras": b"other"}), connect=connect, console=console)
    assert "ml-containerize build" in caught.value.fix
