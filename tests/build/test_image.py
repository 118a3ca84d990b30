from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from doubles.builds import write_environment
from doubles.images import write_image

from ml_containerize.build.image import assemble, environment_image, own_layers
from ml_containerize.build.model import model_layers
from ml_containerize.oci import media
from ml_containerize.oci.config import diff_ids_of, env_of
from ml_containerize.oci.find import find_image
from ml_containerize.oci.image import FoundImage, Image
from ml_containerize.oci.layout import Layout
from ml_containerize.oci.registry import Connect
from ml_containerize.plan.decide import Plan
from ml_containerize.plan.git.source import Source
from ml_containerize.plan.model.model import Format


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.create(tmp_path / "layout")


@pytest.fixture
def plan(make_plan: Any) -> Plan:
    made: Plan = make_plan()
    return made


@pytest.fixture
def environment(plan: Plan, layout: Layout, connect: Connect) -> FoundImage:
    return write_environment(plan, layout, connect)


@pytest.fixture
def image(plan: Plan, environment: FoundImage, layout: Layout) -> Image:
    return assemble(plan, environment, model_layers(plan.model, layout), layout)


def test_an_image_is_its_base_its_environment_and_its_model_in_this_order(
    plan: Plan, image: Image, environment: FoundImage, connect: Connect
) -> None:
    base = find_image(plan.environment.base.where, plan.environment.platform, connect)
    digests = [layer.digest for layer in image.manifest.layers]
    assert digests[:1] == [layer.digest for layer in base.manifest.layers]
    assert digests[:3] == [layer.digest for layer in environment.manifest.layers]
    assert len(digests) == len(diff_ids_of(image.config)) == 4
    assert len(own_layers(image)) == 3


def test_the_image_starts_the_model_server_as_nobody(image: Image) -> None:
    run = image.config["config"]
    assert run["Entrypoint"] == ["/opt/venv/bin/python", "-m", "serving"]
    assert (run["User"], run["WorkingDir"], run["StopSignal"]) == ("65532:65532", "/opt/serving", "SIGTERM")
    assert run["ExposedPorts"] == {"8080/tcp": {}}
    env = env_of(image.config)
    assert env["PATH"].startswith("/opt/venv/bin:/usr/local/sbin:")
    assert env["PYTHONPATH"] == "/opt/serving"
    assert env["MODEL_PATH"] == "/opt/ml/model"


def test_the_image_tells_the_server_what_it_serves(plan: Plan, image: Image) -> None:
    env = env_of(image.config)
    assert env["MODEL_NAME"] == "digits"
    assert env["MODEL_FORMAT"] == "saved_model"
    assert env["MODEL_HASH"] == plan.model.hash.hex
    assert env["GIT_SHA"] == "5" * 40
    assert env["ENVIRONMENT_KEY"] == "3" * 64
    assert not {"KERAS_BACKEND", "ALLOW_PICKLE"} & env.keys()


@pytest.mark.parametrize(
    ("kind", "settings", "told"),
    [
        ("keras", {"backend": "jax"}, {"KERAS_BACKEND": "jax"}),
        ("keras", {"backend": "tensorflow"}, {}),
        ("pickle", {"allow_pickle": True}, {"ALLOW_PICKLE": "true"}),
        ("skops", {"allow_pickle": True}, {}),
    ],
)
def test_a_backend_and_a_trusted_pickle_are_told_to_the_server(
    plan: Plan,
    environment: FoundImage,
    layout: Layout,
    kind: Format,
    settings: dict[str, Any],
    told: dict[str, str],
) -> None:
    changed = replace(
        plan, model=replace(plan.model, format=kind), settings=replace(plan.settings, **settings)
    )
    env = env_of(assemble(changed, environment, [], layout).config)
    assert {name: env[name] for name in ("KERAS_BACKEND", "ALLOW_PICKLE") if name in env} == told


def test_outside_of_git_no_commit_is_told(plan: Plan, environment: FoundImage, layout: Layout) -> None:
    image = assemble(replace(plan, source=Source()), environment, [], layout)
    assert "GIT_SHA" not in env_of(image.config)


def test_the_environment_knows_nothing_of_the_model(environment: FoundImage) -> None:
    told = {"MODEL_NAME", "MODEL_FORMAT", "MODEL_HASH", "GIT_SHA", "ENVIRONMENT_KEY"}
    assert not told & env_of(environment.config).keys()


def test_the_bases_own_variables_stay_and_its_path_is_only_prefixed(
    plan: Plan, tmp_path: Path, connect: Connect
) -> None:
    write_image(tmp_path / "other", {"a": b""})
    base = find_image(str(tmp_path / "other"), plan.environment.platform, connect)
    base.config["config"]["Env"] = ["LANG=C.UTF-8", "PATH=/opt/conda/bin:/bin", "PYTHON_VERSION=3.12.4"]
    base.config["config"]["Cmd"] = ["python3"]
    made = environment_image(plan, base, [])
    env = env_of(made.config)
    assert env["PATH"] == "/opt/venv/bin:/opt/conda/bin:/bin"
    assert (env["LANG"], env["PYTHON_VERSION"]) == ("C.UTF-8", "3.12.4")
    assert "Cmd" not in made.config["config"]


def test_labels_and_time_are_the_plans(plan: Plan, image: Image) -> None:
    assert image.config["created"] == plan.created
    assert plan.labels.items() <= image.labels.items()
    assert image.name == f"digits:{plan.identity}"


def test_an_environment_knows_its_key_but_neither_commit_nor_time(environment: FoundImage) -> None:
    assert environment.labels == {"io.ml-containerize.environment.key": "3" * 64}
    assert environment.config["created"] == "1980-01-01T00:00:00Z"
    assert environment.config["history"][-1]["created"] == "1980-01-01T00:00:00Z"


def test_manifest_and_configuration_are_in_the_layout_and_are_what_they_are_called(
    image: Image, layout: Layout
) -> None:
    assert layout.read(image.descriptor) == image.manifest.as_bytes()
    assert layout.read(image.manifest.config)


def test_a_docker_base_becomes_an_oci_image_as_a_whole(plan: Plan, tmp_path: Path, connect: Connect) -> None:
    write_image(tmp_path / "other", {"a": b""})
    base = find_image(str(tmp_path / "other"), plan.environment.platform, connect)
    [layer] = base.manifest.layers
    docker = type(layer)(media.DOCKER_LAYER_GZIP, layer.digest, layer.size)
    manifest = type(base.manifest)(base.manifest.config, (docker,), media_type=media.DOCKER_MANIFEST)
    found = FoundImage(
        base.name, base.descriptor, manifest, base.config, base.manifest_body, base.config_body, base.sources
    )
    made = environment_image(plan, found, [])
    assert made.manifest.media_type == media.MANIFEST
    assert made.manifest.config.media_type == media.CONFIG
    assert [one.media_type for one in made.manifest.layers] == [media.LAYER_GZIP]
