from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from ml_containerize.names import Digest, Platform
from ml_containerize.oci import media
from ml_containerize.oci.config import (
    RunSettings,
    created_by_of,
    diff_ids_of,
    env_of,
    extend,
    labels_of,
    parse_config,
    platform_of,
)
from ml_containerize.oci.descriptor import Descriptor
from ml_containerize.oci.document import MalformedContent
from ml_containerize.oci.layers import Layer

CREATED = "2026-01-02T03:04:05Z"
BASE_LAYER = Digest.of(b"base")
BASE: dict[str, Any] = {
    "os": "linux",
    "architecture": "arm",
    "variant": "v7",
    "created": "2020-01-01T00:00:00Z",
    "author": "somebody",
    "config": {
        "Env": ["PATH=/bin", "LANG=C.UTF-8", "EMPTY="],
        "Cmd": ["python3"],
        "Labels": {"kept": "yes", "title": "base"},
        "ExposedPorts": {"1/tcp": {}},
        "OnBuild": ["RUN true"],
    },
    "rootfs": {"type": "layers", "diff_ids": [str(BASE_LAYER)]},
    "history": [
        {"created_by": "ADD rootfs", "created": "2019-01-01T00:00:00Z"},
        {"created_by": "CMD", "empty_layer": True},
    ],
}


def layer(content: bytes, created_by: str) -> Layer:
    return Layer(Descriptor.of(content, media.LAYER_TAR), Digest.of(content), created_by)


def test_layers_are_added_on_top_and_the_bases_own_entries_stay() -> None:
    before = copy.deepcopy(BASE)
    made = extend(BASE, [layer(b"1", "packages"), layer(b"2", "model")], created=CREATED)
    assert diff_ids_of(made) == (BASE_LAYER, Digest.of(b"1"), Digest.of(b"2"))
    assert made["history"][:2] == BASE["history"]
    assert made["history"][2:] == [
        {"created": CREATED, "created_by": "packages"},
        {"created": CREATED, "created_by": "model"},
    ]
    assert (made["created"], made["author"]) == (CREATED, "somebody")
    assert before == BASE


def test_the_history_tells_of_each_layer_what_made_it() -> None:
    assert created_by_of(extend(BASE, [layer(b"1", "model")], created=CREATED)) == ("ADD rootfs", "model")


def test_a_base_without_history_is_filled_up_so_that_engines_accept_the_image() -> None:
    base = {key: value for key, value in BASE.items() if key != "history"}
    made = extend(base, [layer(b"1", "model")], created=CREATED)
    assert len([step for step in made["history"] if not step.get("empty_layer")]) == 2
    assert created_by_of(made)[1] == "model"


def test_a_history_with_more_layers_than_there_are_is_malformed() -> None:
    with pytest.raises(MalformedContent, match="tells of 2 layers, but it has 1"):
        extend(BASE | {"history": [{}, {}]}, [], created=CREATED)


def test_run_settings_go_over_the_bases_and_what_is_empty_stays() -> None:
    settings = RunSettings(
        user="65532:65532",
        working_dir="/opt/serving",
        env={"PATH": "/opt/venv/bin:/bin", "PORT": "8080"},
        entrypoint=("/opt/venv/bin/python", "-m", "serving"),
        ports=("8080/tcp",),
        stop_signal="SIGTERM",
    )
    made = extend(BASE, [], created=CREATED, settings=settings)["config"]
    assert made == {
        "User": "65532:65532",
        "WorkingDir": "/opt/serving",
        "Env": ["PATH=/opt/venv/bin:/bin", "LANG=C.UTF-8", "EMPTY=", "PORT=8080"],
        "Entrypoint": ["/opt/venv/bin/python", "-m", "serving"],
        "ExposedPorts": {"1/tcp": {}, "8080/tcp": {}},
        "StopSignal": "SIGTERM",
        "Labels": {"kept": "yes", "title": "base"},
        "OnBuild": ["RUN true"],
    }


def test_an_entrypoint_of_ones_own_drops_the_bases_command() -> None:
    made = extend(BASE, [], created=CREATED, settings=RunSettings(entrypoint=("/a",), command=("b",)))
    assert (made["config"]["Entrypoint"], made["config"]["Cmd"]) == (["/a"], ["b"])
    assert extend(BASE, [], created=CREATED)["config"]["Cmd"] == ["python3"]


def test_labels_go_over_the_bases() -> None:
    made = extend(BASE, [], created=CREATED, labels={"title": "digits"})
    assert labels_of(made) == {"kept": "yes", "title": "digits"}


def test_a_configuration_without_a_run_part_has_no_labels_and_no_environment() -> None:
    bare = {key: value for key, value in BASE.items() if key != "config"} | {"config": None}
    assert (labels_of(bare), env_of(bare)) == ({}, {})


def test_an_environment_variable_may_hold_an_equals_sign() -> None:
    assert env_of({"config": {"Env": ["OPTIONS=a=b", "BARE"]}}) == {"OPTIONS": "a=b", "BARE": ""}


def test_the_platform_is_read_with_its_variant() -> None:
    assert platform_of(BASE) == Platform("linux", "arm", "v7")


@pytest.mark.parametrize(
    "change",
    [
        {"os": None},
        {"architecture": 64},
        {"rootfs": None},
        {"rootfs": {"diff_ids": "none"}},
        {"rootfs": {"diff_ids": ["sha256:short"]}},
    ],
)
def test_what_is_no_image_configuration_is_malformed(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedContent, match="image configuration"):
        parse_config(json.dumps(BASE | change).encode())
