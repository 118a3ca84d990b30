"""The guard in conftest.py: what a unit test cannot do."""

from __future__ import annotations

import multiprocessing
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from contextlib import closing

import pytest


def connect_elsewhere() -> None:
    with closing(socket.socket()) as probe:
        probe.connect(("192.0.2.1", 80))


def connect_to_the_container_engine() -> None:
    with closing(socket.socket(socket.AF_UNIX)) as probe:
        probe.connect("/var/run/docker.sock")


def spawn_a_worker() -> None:
    multiprocessing.get_context("spawn").Process(target=print).start()


def request_another_host() -> None:
    urllib.request.urlopen("http://registry.example", timeout=1)


@pytest.mark.parametrize(
    "reach_out",
    [
        lambda: subprocess.run([sys.executable, "-V"], check=False),
        lambda: os.system("true"),  # noqa: S605
        os.fork,
        lambda: os.posix_spawn(sys.executable, [sys.executable, "-V"], {}),
        spawn_a_worker,
        connect_elsewhere,
        connect_to_the_container_engine,
        request_another_host,
    ],
    ids=["run", "system", "fork", "posix_spawn", "multiprocessing", "connect", "docker.sock", "urlopen"],
)
def test_a_unit_test_cannot_start_a_process_or_leave_this_machine(reach_out: Callable[[], object]) -> None:
    with pytest.raises(BaseException, match=r"mark the test e2e|only loopback") as caught:
        reach_out()
    assert type(caught.value).__name__ == "NotInAUnitTest"


def test_a_unit_test_can_talk_to_a_server_that_it_started_itself() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        socket.create_connection(server.getsockname(), timeout=1).close()
        socket.create_connection(("localhost", server.getsockname()[1]), timeout=1).close()
