"""Whatever ends the command in the middle of a smoke test, nothing of the container stays."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import docker
import pytest

from ml_containerize.oci.image import Image
from ml_containerize.smoke.docker_engine import LABEL, DockerEngine
from ml_containerize.smoke.gpus import GpuRequest
from ml_containerize.smoke.readiness import ready_server

pytestmark = pytest.mark.e2e


@pytest.fixture
def started(request: pytest.FixtureRequest, make_image: Any, rootfs: Path) -> Iterator[tuple[Any, int]]:
    """A command whose container answers, and the container's port."""
    if request.param == "docker":
        request.getfixturevalue("docker_engine")
    image: Image = make_image()
    script = Path(__file__).with_name("interrupted.py")
    argv = [sys.executable, script, request.param, image.content.layout.path, rootfs]
    process = subprocess.Popen(list(map(str, argv)), stdout=subprocess.PIPE, text=True)
    assert process.stdout
    url = process.stdout.readline().strip()
    yield process, urlsplit(url).port or 0
    process.kill()
    process.wait()
    process.stdout.close()


def answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def closes(port: int) -> bool:
    deadline = time.monotonic() + 5
    while answers(port) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not answers(port)


def containers(engine: docker.DockerClient) -> list[Any]:
    """Our test image's containers; others may use the engine, too."""
    found = engine.containers.list(all=True, filters={"label": LABEL})
    return [container for container in found if "/faulty@" in container.attrs["Config"]["Image"]]


def images(engine: docker.DockerClient) -> list[Any]:
    return [image for image in engine.images.list() if "/faulty@" in str(image.attrs["RepoDigests"])]


@pytest.mark.parametrize("started", ["embedded"], indirect=True)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_sandbox_ends_with_its_command(started: tuple[Any, int], number: int) -> None:
    process, port = started
    assert answers(port)
    process.send_signal(number)
    process.wait(10)
    assert closes(port)


@pytest.mark.parametrize("started", ["docker"], indirect=True)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_container_and_its_image_go_with_their_command(
    engine: docker.DockerClient, started: tuple[Any, int], number: int
) -> None:
    process, port = started
    assert answers(port)
    process.send_signal(number)
    process.wait(30)
    assert closes(port)
    assert not containers(engine)
    assert not images(engine)


@pytest.mark.parametrize("started", ["docker"], indirect=True)
def test_what_a_killed_command_left_the_next_one_removes(
    engine: docker.DockerClient, docker_engine: DockerEngine, started: tuple[Any, int], make_image: Any
) -> None:
    process, _ = started
    process.kill()
    process.wait(10)
    assert containers(engine)
    with ready_server(docker_engine, make_image(), GpuRequest("none"), 20):
        assert len(containers(engine)) == 1
    assert not containers(engine)
    assert not images(engine)
