"""The ground that end-to-end tests stand on is real."""

from __future__ import annotations

import base64
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.error import HTTPError

import docker
import pytest

pytestmark = pytest.mark.e2e


def test_the_container_engine_runs_the_base_image_with_a_published_loopback_port(
    engine: docker.DockerClient, base_image: str
) -> None:
    container = engine.containers.run(
        base_image,
        ["python3", "-m", "http.server", "8000"],
        detach=True,
        ports={"8000/tcp": ("127.0.0.1", None)},
    )
    try:
        container.reload()
        port = container.ports["8000/tcp"][0]["HostPort"]
        assert b"Directory listing" in patiently(f"http://127.0.0.1:{port}/")
    finally:
        container.remove(force=True)


def patiently(url: str) -> bytes:
    """The answer of a server that is still starting."""
    for _ in range(200):
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return bytes(answer.read())
        except OSError:
            time.sleep(0.05)
    raise TimeoutError(url)


def test_the_base_layout_is_an_image_that_skopeo_copies_into_the_registry(
    base_layout: Path, registry: str, skopeo: str
) -> None:
    copy = [
        skopeo,
        "copy",
        "-q",
        "--dest-tls-verify=false",
        f"oci:{base_layout}",
        f"docker://{registry}/base:1",
    ]
    subprocess.run(copy, check=True)
    with urllib.request.urlopen(f"http://{registry}/v2/base/tags/list", timeout=5) as answer:
        assert b'"1"' in answer.read()


def test_a_registry_with_a_login_refuses_who_has_none(make_registry: Callable[..., str]) -> None:
    url = f"http://{make_registry(htpasswd={'ada': 'secret'})}/v2/"
    with pytest.raises(HTTPError, match="401"):
        urllib.request.urlopen(url, timeout=5)
    login = base64.b64encode(b"ada:secret").decode()
    request = urllib.request.Request(url, headers={"Authorization": f"Basic {login}"})
    assert urllib.request.urlopen(request, timeout=5).status == 200


def test_the_digits_repository_always_has_the_same_commit(digits: Path) -> None:
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=digits, capture_output=True, text=True, check=True
    )
    dirty = subprocess.run(
        ["git", "status", "--porcelain"], cwd=digits, capture_output=True, text=True, check=True
    )
    assert len(head.stdout.strip()) == 40
    assert not dirty.stdout
