from __future__ import annotations

from typing import Any

import pytest

from ml_containerize.console import Console
from ml_containerize.smoke.docker_connection import Connection, EngineNotRunning, EngineRemote, name_of
from ml_containerize.smoke.docker_engine import DockerEngine, open_docker
from ml_containerize.smoke.docker_gpus import device_requests, is_gpu_error
from ml_containerize.smoke.docker_images import follow_pull
from ml_containerize.smoke.docker_server import memory_of
from ml_containerize.smoke.gpus import GpuMissing, find_gpus, parse_gpus
from ml_containerize.smoke.owner import is_gone, owner
from ml_containerize.smoke.status import describe_status

NVIDIA: dict[str, Any] = {"Runtimes": {"runc": {}, "nvidia": {}}}
CDI = {
    "Runtimes": {"runc": {}},
    "DiscoveredDevices": [
        {"Source": "cdi", "ID": f"nvidia.com/gpu={name}"} for name in ("0", "1", "GPU-aa", "all")
    ],
}
NONE: dict[str, Any] = {"Runtimes": {"runc": {}}}


def test_an_engine_that_does_not_run_is_exit_8_and_says_what_to_do() -> None:
    with pytest.raises(EngineNotRunning) as caught:
        open_docker({"DOCKER_HOST": "tcp://127.0.0.1:1"}, Console(quiet=True))
    assert caught.value.exit_code == 8
    assert "tcp://127.0.0.1:1 (connection refused)" in caught.value.what
    assert "engine: embedded" in caught.value.fix


@pytest.mark.e2e
def test_a_socket_that_is_not_there_is_told(tmp_path: Any) -> None:
    with pytest.raises(EngineNotRunning, match="no such file or directory"):
        open_docker({"DOCKER_HOST": f"unix://{tmp_path}/none.sock"}, Console(quiet=True))


@pytest.mark.parametrize("host", ["ssh://ada@build.example.org", "tcp://10.0.0.7:2376"])
def test_an_engine_on_another_machine_is_exit_8_and_is_not_even_asked(host: str) -> None:
    with pytest.raises(EngineRemote) as caught:
        open_docker({"DOCKER_HOST": host}, Console(quiet=True))
    assert caught.value.exit_code == 8
    assert host in caught.value.what


def test_memory_is_what_the_container_allocated_without_pages_of_files() -> None:
    v1 = {"usage": 900, "stats": {"rss": 1, "total_rss": 300, "total_shmem": 20, "total_cache": 500}}
    v2 = {"usage": 900, "stats": {"anon": 300, "shmem": 20, "file": 500}}
    told = [memory_of({"memory_stats": stats}) for stats in (v1, v2, {"usage": 900}, {})]
    assert told == [320, 320, 900, None]


def test_podman_is_told_from_docker() -> None:
    podman = {"Version": "5.4.0", "Components": [{"Name": "Podman Engine"}]}
    assert name_of(podman) == "podman 5.4.0"
    assert name_of({"Version": "28.2", "Components": [{"Name": "Engine"}]}) == "docker 28.2"


def test_a_pull_is_followed_by_its_bytes() -> None:
    seen: list[int] = []
    events: list[dict[str, Any]] = [
        {"status": "Pulling fs layer", "id": "a"},
        {"status": "Downloading", "id": "a", "progressDetail": {"current": 10, "total": 30}},
        {"status": "Downloading", "id": "b", "progressDetail": {"current": 5, "total": 5}},
        {"status": "Downloading", "id": "a", "progressDetail": {"current": 30, "total": 30}},
        {"status": "Extracting", "id": "a", "progressDetail": {"current": 30, "total": 30}},
        {"status": "Pull complete", "id": "a", "progressDetail": {}},
    ]
    assert follow_pull(events, seen.append) == ""
    assert seen == [10, 5, 20]


def test_a_pull_that_the_engine_reports_as_failed_is_told() -> None:
    events: list[dict[str, Any]] = [
        {"status": "Pulling"},
        {"error": "no space left on device", "errorDetail": {}},
    ]
    assert follow_pull(events, lambda _: None) == "no space left on device"


@pytest.mark.parametrize(
    ("text", "info", "driver", "count", "devices"),
    [
        ("all", NVIDIA, None, -1, None),
        ("2", NVIDIA, None, 2, None),
        ("device=0,GPU-aa", NVIDIA, None, None, ["0", "GPU-aa"]),
        ("auto", NVIDIA, None, -1, None),
        ("all", NONE, None, -1, None),
        ("auto", CDI, "cdi", None, ["nvidia.com/gpu=all"]),
        ("2", CDI, "cdi", None, ["nvidia.com/gpu=0", "nvidia.com/gpu=1"]),
        ("device=1", CDI, "cdi", None, ["nvidia.com/gpu=1"]),
    ],
)
def test_gpus_are_asked_for_in_the_engines_own_way(
    text: str, info: dict[str, Any], driver: str | None, count: int | None, devices: list[str] | None
) -> None:
    (request,) = device_requests(parse_gpus(text), info)
    assert (request["Driver"] or None, request["Count"] or None) == (driver, count)
    assert (request["DeviceIDs"] or None) == devices


def test_no_gpu_is_asked_for_where_none_is_wanted() -> None:
    assert device_requests(parse_gpus("none"), NVIDIA) == []


def test_limits_that_the_engine_cannot_set_are_told() -> None:
    info = {"MemoryLimit": False, "PidsLimit": False}
    rootless = DockerEngine(Connection(None, "docker 28.2.2", info), Console(quiet=True))
    assert rootless.notices == ("docker 28.2.2 cannot limit memory or processes",)
    full = DockerEngine(Connection(None, "docker 28.2.2", {"MemoryLimit": True}), Console(quiet=True))
    assert full.notices == ()


def test_podman_which_ignores_such_requests_is_never_trusted_with_one() -> None:
    podman = DockerEngine(Connection(None, "podman 5.4.0", NVIDIA), Console(quiet=True))
    assert podman._device_requests(parse_gpus("auto")) == []
    with pytest.raises(GpuMissing, match=r"podman 5\.4\.0 gives none"):
        podman._device_requests(parse_gpus("all"))


@pytest.mark.skipif(bool(find_gpus()), reason="this machine has a GPU")
def test_auto_asks_for_none_where_there_is_no_sign_of_one() -> None:
    assert device_requests(parse_gpus("auto"), NONE) == []


@pytest.mark.parametrize(
    "reason",
    [
        'could not select device driver "" with capabilities: [[gpu]]',
        "nvidia-container-cli: initialization error: nvml error: driver not loaded",
        "CDI device injection failed: unresolvable CDI devices nvidia.com/gpu=all",
    ],
)
def test_an_engine_that_cannot_give_a_gpu_is_understood(reason: str) -> None:
    assert is_gpu_error(reason)


def test_a_container_of_a_running_command_is_nobodys_leftover() -> None:
    assert not is_gone(owner())


def test_a_container_whose_command_has_ended_is_left_over() -> None:
    scope, process, started = owner().rsplit("/", 2)
    assert is_gone(f"{scope}/{process}/{int(started) + 1}")
    assert is_gone(f"{scope}/4194304/1")


@pytest.mark.parametrize("label", ["", "other-boot/4026531836/1/1", "x", "//", "a/b/c/d"])
def test_what_cannot_be_seen_from_here_is_left_alone(label: str) -> None:
    assert not is_gone(label)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0, "exited with status 0"),
        (1, "exited with status 1"),
        (137, "was killed by SIGKILL"),
        (-11, "was killed by SIGSEGV"),
        (255, "exited with status 255"),
    ],
)
def test_an_exit_status_is_told_in_words(status: int, words: str) -> None:
    assert describe_status(status) == words
