"""The plain recipe: `docker build` alone gives a container that passes the smoke cases."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

from ml_containerize.smoke.cases import load_cases
from ml_containerize.smoke.check import judge
from ml_containerize.smoke.client import Client

ROOT = Path(__file__).parents[2]
AUTHORITIES = Path(os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt"))
LOCKED_DOWN = {"read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges"]}

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


def build(base: str, model: str, tag: str, *options: str) -> subprocess.CompletedProcess[str]:
    """`docker build` of this repository; the host's own certificate authorities go along as a secret."""
    secret = ["--secret", f"id=ca,src={AUTHORITIES}"] if AUTHORITIES.is_file() else []
    arguments = ["--build-arg", f"BASE={base}", "--build-arg", f"MODEL={model}", *secret, *options]
    return subprocess.run(
        ["docker", "build", "--network", "host", "--tag", tag, *arguments, "."],
        cwd=ROOT,
        env={**os.environ, "DOCKER_BUILDKIT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@contextmanager
def built(engine: docker.DockerClient, base: str, model: str, tag: str, *options: str) -> Iterator[str]:
    done = build(base, model, tag, *options)
    assert done.returncode == 0, done.stderr
    try:
        yield tag
    finally:
        engine.images.remove(tag, force=True)


@contextmanager
def running(engine: docker.DockerClient, image: str) -> Iterator[tuple[Container, Client]]:
    """The image as a container that may do and write nothing, ready to be asked."""
    container = engine.containers.run(
        image, detach=True, network_mode="bridge", ports={"8080/tcp": ("127.0.0.1", 0)}, **LOCKED_DOWN
    )
    try:
        container.reload()
        port = container.ports["8080/tcp"][0]["HostPort"]
        client = Client(f"http://127.0.0.1:{port}", timeout=60)
        deadline = time.monotonic() + 120
        while why := client.unready():
            assert time.monotonic() < deadline, f"{why}\n{container.logs().decode()}"
            time.sleep(0.2)
        yield container, client
        client.close()
    finally:
        container.remove(force=True)


@pytest.mark.parametrize(
    ("example", "runtime"),
    [
        ("digits", "tensorflow"),
        ("digits-savedmodel", "tensorflow"),
        ("digits-onnx", "onnx"),
        ("iris-predictor", "python"),
    ],
)
def test_docker_build_alone_gives_a_container_that_passes_the_smoke_cases(
    example: str, runtime: str, engine: docker.DockerClient, base_image: str
) -> None:
    cases = load_cases(sorted((ROOT / "examples" / example / "smoke").glob("*.json")))
    tag = f"localhost/ml-containerize-test-{example}:{os.getpid()}"
    chosen = ("--build-arg", f"RUNTIME={runtime}")
    with (
        built(engine, base_image, f"examples/{example}", tag, *chosen) as image,
        running(engine, image) as (container, client),
    ):
        results = [judge(case, client.predict(json.dumps(case.request).encode())) for case in cases]
        assert [result.problem for result in results] == [""] * len(cases)
        client.close()
        container.stop()
        assert container.wait()["StatusCode"] == 0
        assert container.attrs["Config"]["User"] == "65532:65532"


@pytest.mark.parametrize(
    ("model", "files"),
    [
        ("examples/digits/model.keras", ["model.keras"]),
        ("examples/digits-onnx", ["model.onnx"]),
        ("examples/wine-sklearn", ["model.skops"]),
        ("examples/wine-xgboost", ["model.ubj"]),
        ("examples/wine-lightgbm", ["model.txt"]),
        ("examples/digits-torchscript", ["model.pt"]),
        ("examples/digits-torch-export", ["model.pt2"]),
        ("examples/iris-predictor", ["irises.json", "predictor.py"]),
    ],
)
def test_the_one_model_is_found_by_its_own_path_or_in_its_project(
    model: str, files: list[str], engine: docker.DockerClient, base_image: str
) -> None:
    tag = f"localhost/ml-containerize-test-file:{os.getpid()}"
    done = build(base_image, model, tag, "--target", "model")
    assert done.returncode == 0, done.stderr
    listed = engine.containers.run(tag, ["ls", "/opt/ml/model"], remove=True)
    engine.images.remove(tag, force=True)
    assert listed.decode().split() == files


@pytest.mark.parametrize("model", ["examples", "docs"], ids=["several models", "no model"])
def test_a_folder_without_exactly_one_model_is_refused(model: str, engine: object, base_image: str) -> None:
    done = build(base_image, model, "refused", "--target", "model")
    assert done.returncode != 0
    assert f"MODEL={model} must hold exactly one model, found: " in done.stderr
