from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from doubles.builds import publish_environment, said, write_environment
from doubles.registry_double import RegistryDouble

from ml_containerize.build.environment import (
    environment_cache,
    find_environment,
    find_published,
    obtain_environment,
)
from ml_containerize.build.image import own_layers
from ml_containerize.console import Console
from ml_containerize.errors import EnvironmentMissing
from ml_containerize.oci.image import FoundImage
from ml_containerize.oci.layout import Layout
from ml_containerize.oci.registry import Connect
from ml_containerize.plan.decide import Plan

MakePlan = Callable[..., Plan]


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.create(tmp_path / "layout")


@dataclass
class Building:
    """Stands for the builder: counts how often it is asked."""

    plan: Plan
    layout: Layout
    connect: Connect
    times: int = 0

    def __call__(self) -> FoundImage:
        self.times += 1
        return write_environment(self.plan, self.layout, self.connect)


@dataclass(frozen=True)
class Obtained:
    environment: FoundImage
    built: int
    said: str


@pytest.fixture
def obtain(layout: Layout, connect: Connect) -> Callable[[Plan], Obtained]:
    def do(plan: Plan) -> Obtained:
        console = Console(StringIO())
        building = Building(plan, layout, connect)
        found = obtain_environment(plan, layout, connect, console, building)
        return Obtained(found, building.times, said(console))

    return do


def publish(plan: Plan, double: RegistryDouble, connect: Connect, folder: Path, tag: str = "") -> FoundImage:
    layout = Layout.create(folder)
    environment = write_environment(plan, layout, connect)
    publish_environment(environment, layout, double, "org/digits", tag or plan.environment.key.tag)
    return environment


def test_an_environment_that_is_nowhere_is_built_and_kept(
    make_plan: MakePlan, obtain: Callable[[Plan], Obtained]
) -> None:
    plan = make_plan()
    first, second = obtain(plan), obtain(plan)
    assert (first.built, second.built) == (1, 0)
    assert first.environment.digest == second.environment.digest
    assert "environment 333333333333 not found: building it" in first.said
    assert "environment 333333333333 found in the local cache, reused" in second.said


def test_another_key_is_another_environment(make_plan: MakePlan, obtain: Callable[[Plan], Obtained]) -> None:
    obtain(make_plan())
    assert obtain(make_plan(key="4")).built == 1


def test_a_cached_environments_layers_are_linked_into_the_layout(
    make_plan: MakePlan, obtain: Callable[[Plan], Obtained], layout: Layout
) -> None:
    plan = make_plan()
    own = own_layers(obtain(plan).environment)
    for layer in own:
        layout.blob_path(layer.digest).unlink()
    obtain(plan)
    assert all(layout.has(layer.digest) for layer in own)


def test_a_broken_blob_in_the_cache_is_noticed_and_the_environment_is_built_again(
    make_plan: MakePlan, obtain: Callable[[Plan], Obtained], layout: Layout
) -> None:
    plan = make_plan()
    layer = own_layers(obtain(plan).environment)[0]
    blob = environment_cache(plan).layout.blob_path(layer.digest)
    blob.write_bytes(b"\0" * layer.size)
    again = obtain(plan)
    assert again.built == 1
    assert "the local cache is damaged" in again.said
    layout.verify(layer)
    assert obtain(plan).built == 0


def test_a_broken_blob_in_the_layout_is_replaced(
    make_plan: MakePlan, obtain: Callable[[Plan], Obtained], layout: Layout
) -> None:
    plan = make_plan()
    layer = own_layers(obtain(plan).environment)[0]
    layout.blob_path(layer.digest).unlink()
    layout.blob_path(layer.digest).write_bytes(b"broken")
    assert obtain(plan).built == 0
    layout.verify(layer)


def test_a_published_environment_is_reused_without_a_byte_of_its_layers(
    make_plan: MakePlan,
    obtain: Callable[[Plan], Obtained],
    double: RegistryDouble,
    connect: Connect,
    tmp_path: Path,
) -> None:
    plan = make_plan(images=f"{double.host}/org/digits", push=True)
    published = publish(plan, double, connect, tmp_path / "elsewhere")
    obtained = obtain(plan)
    assert obtained.built == 0
    assert f"found in {double.host}/org/digits:env-33333333" in obtained.said
    layers = {str(layer.digest) for layer in published.manifest.layers}
    assert not [seen for seen in double.seen if seen.path.rpartition("/")[2] in layers]
    sources = {obtained.environment.sources[layer.digest].repository for layer in published.manifest.layers}
    assert {str(repository) for repository in sources} == {f"{double.host}/org/digits"}


def test_what_is_published_counts_where_this_machine_has_another_build(
    make_plan: MakePlan,
    obtain: Callable[[Plan], Obtained],
    double: RegistryDouble,
    connect: Connect,
    tmp_path: Path,
) -> None:
    plan = make_plan(images=f"{double.host}/org/digits", push=True)
    elsewhere = Layout.create(tmp_path / "elsewhere")
    environment_cache(plan).keep(
        plan.environment.key, write_environment(plan, elsewhere, connect, "older"), elsewhere
    )
    published = publish(plan, double, connect, tmp_path / "elsewhere")
    assert obtain(plan).environment.digest == published.digest


def test_what_is_published_and_here_is_taken_from_here(
    make_plan: MakePlan,
    obtain: Callable[[Plan], Obtained],
    double: RegistryDouble,
    connect: Connect,
    tmp_path: Path,
    layout: Layout,
) -> None:
    plan = make_plan(images=f"{double.host}/org/digits", push=True)
    published = publish(plan, double, connect, tmp_path / "elsewhere")
    environment_cache(plan).keep(plan.environment.key, published, Layout(tmp_path / "elsewhere"))
    assert "found in the local cache" in obtain(plan).said
    assert all(layout.has(layer.digest) for layer in own_layers(published))


def test_a_run_that_does_not_push_asks_no_registry_for_what_is_here(
    make_plan: MakePlan, obtain: Callable[[Plan], Obtained], double: RegistryDouble
) -> None:
    plan = make_plan(images=f"{double.host}/org/digits")
    obtain(plan)
    double.seen.clear()
    obtain(plan)
    assert not double.seen


def test_every_repository_of_the_plan_is_asked_in_its_order(
    make_plan: MakePlan, double: RegistryDouble, connect: Connect, console: Console, tmp_path: Path
) -> None:
    plan = make_plan(images=f"{double.host}/first\n{double.host}/org/digits", push=True)
    publish(plan, double, connect, tmp_path / "elsewhere")
    assert find_published(plan, connect, console)
    asked = [seen.path.split("/manifests/")[0] for seen in double.asked("GET", "/manifests/")]
    assert asked == ["/v2/first", "/v2/org/digits"]


def test_an_environment_with_another_key_in_it_is_not_trusted(
    make_plan: MakePlan, double: RegistryDouble, connect: Connect, console: Console, tmp_path: Path
) -> None:
    plan = make_plan(images=f"{double.host}/org/digits", push=True)
    other = make_plan(images=f"{double.host}/org/digits", push=True, key="4")
    publish(other, double, connect, tmp_path / "elsewhere", tag=plan.environment.key.tag)
    assert find_environment(plan, connect, console) is None
    assert "not labelled with its own key" in said(console)


def test_a_registry_that_hides_the_repository_is_no_reason_to_stop(
    make_plan: MakePlan, make_double: Any, connect: Connect, console: Console
) -> None:
    double = make_double(auth="basic", users={"ada": "secret"})
    plan = make_plan(images=f"{double.host}/org/digits", push=True)
    assert find_published(plan, connect, console) is None


def test_a_registry_that_is_away_ends_a_run_that_wants_to_push_before_its_work(
    make_plan: MakePlan, connect: Connect, console: Console
) -> None:
    plan = make_plan(images="localhost:1/org/digits", push=True)
    with pytest.raises(EnvironmentMissing):
        find_published(plan, connect, console)


def test_a_registry_that_is_away_is_only_told_to_a_run_that_does_not_push(
    make_plan: MakePlan, connect: Connect, console: Console
) -> None:
    plan = make_plan(images="localhost:1/org/digits")
    assert find_published(plan, connect, console) is None
    assert "cannot be asked for the environment" in said(console)
