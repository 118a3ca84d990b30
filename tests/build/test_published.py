from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from doubles.builds import Runs, write_environment
from doubles.images import LINUX, publish, publish_index, write_image
from doubles.registry_double import RegistryDouble
from doubles.registry_fixtures import MakeDouble

from ml_containerize.build.direct import build, open_built
from ml_containerize.build.environment import environment_cache
from ml_containerize.build.published import ForeignImage, NotOneImage, open_published, recover_environment
from ml_containerize.console import Console
from ml_containerize.errors import EnvironmentMissing
from ml_containerize.names import Digest, DigestReference, Platform, Repository
from ml_containerize.oci.find import ImageNotFound, ImageNotReadable
from ml_containerize.oci.image import Image
from ml_containerize.oci.layout import Layout
from ml_containerize.oci.manifest import PlatformNotFound
from ml_containerize.oci.registry import Connect
from ml_containerize.plan.decide import Plan

NAME = "org/digits"

MakePlan = Callable[..., Plan]
MakeImage = Callable[..., Image]


@pytest.fixture
def make_image(tmp_path: Path) -> MakeImage:
    """A small image with these labels, on another machine."""

    def make(labels: Mapping[str, str]) -> Image:
        folder = tmp_path / f"elsewhere-{len(list(tmp_path.iterdir()))}"
        return write_image(folder, {"bin/sh": b"base"}, {"opt/ml/model/x": b"model"}, labels=labels)

    return make


@pytest.fixture
def plan(make_plan: MakePlan) -> Plan:
    return make_plan()


@pytest.fixture
def image(make_image: MakeImage, plan: Plan) -> Image:
    """The image of the plan, as another machine built it, with a label of its base's beside the plan's."""
    return make_image({**plan.labels, "maintainer": "somebody"})


def where(double: RegistryDouble, image: Image) -> DigestReference:
    return Repository(double.host, NAME).at(image.digest)


def test_manifest_and_configuration_come_here_and_the_layers_stay_where_they_are(
    plan: Plan, image: Image, double: RegistryDouble, connect: Connect
) -> None:
    publish(image, double, NAME)
    opened = open_published(plan, where(double, image), connect=connect)
    assert opened.digest == image.digest
    assert Layout.at(plan.settings.output / "layout").image().digest == image.digest
    blobs = {path.name for path in (plan.settings.output / "layout" / "blobs" / "sha256").iterdir()}
    assert blobs == {image.digest.hex, image.manifest.config.digest.hex}
    layer = image.manifest.layers[-1]
    with opened.content.open(layer) as stream:
        assert Digest.of(stream.read()) == layer.digest


def test_what_another_build_left_in_the_output_folder_is_deleted(
    plan: Plan, image: Image, make_image: MakeImage, double: RegistryDouble, connect: Connect
) -> None:
    publish(image, double, NAME)
    layout = Layout.create(plan.settings.output / "layout")
    other = layout.write(b"another image's layer", "text/plain")
    open_published(plan, where(double, image), connect=connect)
    assert not layout.has(other.digest)


def test_an_image_of_another_checkout_is_refused_and_each_label_that_differs_is_told(
    plan: Plan, make_image: MakeImage, double: RegistryDouble, connect: Connect
) -> None:
    theirs = make_image({"io.ml-containerize.model.hash": "f" * 64})
    publish(theirs, double, NAME)
    expected = replace(plan, labels={**plan.labels, "team": "vision"})
    with pytest.raises(ForeignImage) as refused:
        open_published(expected, where(double, theirs), connect=connect)
    assert f"io.ml-containerize.model.hash is {'f' * 64}, expected {plan.model.hash}" in str(refused.value)
    assert "team is not there, expected vision" in str(refused.value)
    assert "Check out the commit" in refused.value.fix
    assert not (plan.settings.output / "layout").exists()


def test_an_index_is_no_image_that_a_gate_can_speak_of(
    plan: Plan, image: Image, double: RegistryDouble, connect: Connect
) -> None:
    publish_index([image], double, NAME, "latest")
    index = Repository(double.host, NAME).at(Digest.parse(double.tags[NAME]["latest"]))
    with pytest.raises(NotOneImage, match="is an index") as refused:
        open_published(plan, index, connect=connect)
    assert str(image.digest) in refused.value.fix


def test_an_image_for_another_platform_is_refused(
    plan: Plan, image: Image, double: RegistryDouble, connect: Connect
) -> None:
    publish(image, double, NAME)
    assert plan.settings.platform == LINUX
    other = replace(plan, settings=replace(plan.settings, platform=Platform("linux", "arm64")))
    with pytest.raises(PlatformNotFound):
        open_published(other, where(double, image), connect=connect)


def test_a_digest_that_the_registry_does_not_have_says_so(
    plan: Plan, image: Image, double: RegistryDouble, connect: Connect
) -> None:
    with pytest.raises(ImageNotFound, match=str(image.digest)):
        open_published(plan, where(double, image), connect=connect)


def test_a_registry_that_wants_a_login_says_so(
    plan: Plan, image: Image, make_double: MakeDouble, connect: Connect
) -> None:
    closed = make_double(auth="basic", users={"ada": "secret"})
    publish(image, closed, NAME)
    with pytest.raises(ImageNotReadable, match="login"):
        open_published(plan, where(closed, image), connect=connect)


def test_a_registry_that_is_gone_is_a_missing_environment(
    plan: Plan, image: Image, double: RegistryDouble, connect: Connect
) -> None:
    publish(image, double, NAME)
    double.fail("GET", "/blobs/", times=99, status=503)
    with pytest.raises(EnvironmentMissing):
        open_published(plan, where(double, image), connect=connect)


def test_the_layout_can_be_opened_again_without_the_registry(
    plan: Plan, image: Image, double: RegistryDouble, connect: Connect, console: Console
) -> None:
    publish(image, double, NAME)
    open_published(plan, where(double, image), connect=connect)
    assert open_built(plan, connect=connect, console=console).digest == image.digest


@pytest.fixture
def built(
    make_plan: MakePlan, connect: Connect, console: Console, runs: Runs, double: RegistryDouble
) -> Plan:
    """The plan of an image that another machine has built and published without its environment."""
    there = make_plan()
    elsewhere = Layout.create(there.settings.cache / "elsewhere")
    key = there.environment.key
    environment_cache(there).keep(key, write_environment(there, elsewhere, connect), elsewhere)
    image = build(there, connect=connect, run=runs, console=console, environ={})
    for layer in image.manifest.layers:
        image.content.pull(layer)
    publish(image, double, NAME)
    here = replace(there.settings, output=there.settings.output / "here", cache=there.settings.cache / "here")
    here.output.mkdir()
    return replace(there, settings=replace(here, image=where(double, image)))


def test_the_environment_is_made_anew_of_what_plan_and_image_tell(
    built: Plan, connect: Connect, console: Console
) -> None:
    assert built.settings.image
    image = open_published(built, built.settings.image, connect=connect)
    assert image.content.layout.environment() is None
    recover_environment(built, image, connect=connect, console=console)
    found = image.content.layout.environment()
    expected = Layout.at(built.settings.output.parent / "layout").environment()
    assert found
    assert found == expected
    assert image.content.layout.image().digest == image.digest


def test_an_environment_that_the_image_does_not_stand_on_is_not_listed(
    built: Plan, connect: Connect, console: Console
) -> None:
    assert built.settings.image
    image = open_published(built, built.settings.image, connect=connect)
    recover_environment(
        replace(built, created="2027-01-01T00:00:00Z"), image, connect=connect, console=console
    )
    assert image.content.layout.environment() is None
    assert image.content.layout.image().digest == image.digest
