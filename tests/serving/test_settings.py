from __future__ import annotations

import os
from pathlib import Path

import pytest

from serving.errors import SettingWrong
from serving.settings import prepare_frameworks, read_settings, usable_cpus


def test_an_empty_environment_gives_the_images_defaults() -> None:
    settings = read_settings({})
    assert (settings.host, settings.port, settings.workers) == ("0.0.0.0", 8080, 1)  # noqa: S104
    assert (settings.model_name, settings.model_version) == ("model", "1")
    assert settings.model_path == Path("/opt/ml/model")
    assert settings.max_body == 16 * 2**20
    assert settings.about == {}


def test_variables_replace_defaults_and_empty_ones_do_not() -> None:
    environ = {"HOST": "127.0.0.1", "PORT": "1", "MODEL_PATH": "m", "WORKERS": "", "MAX_BODY_MIB": "1"}
    settings = read_settings({**environ, "GIT_SHA": "abc", "MODEL_HASH": ""})
    assert (settings.host, settings.port, settings.workers) == ("127.0.0.1", 1, 1)
    assert settings.max_body == 2**20
    assert settings.about == {"git_sha": "abc"}


@pytest.mark.parametrize("port", ["http", "-1", "0", "65536", "80.0", "٨٠"])
def test_a_number_that_is_none_is_refused_with_its_name(port: str) -> None:
    with pytest.raises(SettingWrong, match=r"PORT is .*, expected a whole number from 1 to 65535"):
        read_settings({"PORT": port})


def test_vertex_ai_says_port_and_paths_and_a_port_of_ones_own_wins() -> None:
    vertex = {"AIP_HTTP_PORT": "7080", "AIP_HEALTH_ROUTE": "/health", "AIP_PREDICT_ROUTE": "/v1/endpoints/7"}
    settings = read_settings(vertex)
    assert (settings.port, settings.health_route, settings.predict_route) == (
        7080,
        "/health",
        "/v1/endpoints/7",
    )
    assert read_settings({**vertex, "PORT": "9000"}).port == 9000


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("BATCHING", "maybe", "BATCHING is 'maybe', expected auto or off"),
        ("BATCH_WINDOW_MS", "nan", "BATCH_WINDOW_MS is 'nan', expected a number from 0 to 10000"),
        ("MODEL_NAME", "a/b", "MODEL_NAME is 'a/b', expected letters, digits, '.', '_' and '-'"),
        ("AIP_HEALTH_ROUTE", "health", "AIP_HEALTH_ROUTE is 'health', expected a path that begins with '/'"),
    ],
)
def test_a_wrong_value_is_refused_in_one_sentence(name: str, value: str, expected: str) -> None:
    with pytest.raises(SettingWrong) as refused:
        read_settings({name: value})
    assert str(refused.value) == expected


def test_an_ipv6_address_stands_in_brackets() -> None:
    assert read_settings({"HOST": "::", "PORT": "80"}).address == "[::]:80"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 64),
        ({"cpu.max": "max 100000\n"}, 64),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 64),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
    ],
    ids=["none", "v2 max", "v2 one and a half", "v2 a half", "v1 none", "v1 three"],
)
def test_processors_are_what_the_quota_leaves(files: dict[str, str], expected: int, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert usable_cpus(tmp_path, available=64) == expected


def test_frameworks_keep_what_the_user_set() -> None:
    environ = {"TF_CPP_MIN_LOG_LEVEL": "0"}
    prepare_frameworks(environ, cpus=3)
    assert environ["TF_CPP_MIN_LOG_LEVEL"] == "0"
    assert environ["TF_NUM_INTRAOP_THREADS"] == "3"


def test_no_file_of_the_machine_configures_keras() -> None:
    environ: dict[str, str] = {}
    prepare_frameworks(environ, cpus=1)
    assert not os.path.lexists(environ["KERAS_HOME"])
    with pytest.raises(OSError, match="Not a directory"):
        Path(environ["KERAS_HOME"]).mkdir(parents=True)
