from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from ml_containerize.smoke.serve import curl, example_request

DIGITS = {"inputs": [{"name": "pixels", "dtype": "float32", "shape": [None, 4]}], "outputs": []}

Serve = Callable[..., tuple[Any, str]]


def test_the_example_request_has_the_models_shape() -> None:
    assert example_request(DIGITS) == {"instances": [[0.0, 0.0, 0.0, 0.0]]}


def test_several_inputs_are_named_in_the_example_request() -> None:
    inputs = [
        {"name": "image", "dtype": "uint8", "shape": [None, 2, None]},
        {"name": "text", "dtype": "string", "shape": [None]},
    ]
    assert example_request({"inputs": inputs}) == {"instances": [{"image": [[0], [0]], "text": "text"}]}


@pytest.mark.parametrize(
    "signature",
    [
        {},
        {"inputs": []},
        {"inputs": [{"name": "x", "dtype": "float32", "shape": None}]},
        {"inputs": [{"name": "x", "dtype": "float32", "shape": [None, 224, 224, 3]}]},
    ],
)
def test_where_no_short_example_can_be_made_a_file_is_named(signature: dict[str, Any]) -> None:
    assert example_request(signature) is None
    assert curl("http://127.0.0.1:1", signature).endswith("-d @request.json")


def test_the_curl_line_can_be_pasted_into_a_shell() -> None:
    assert curl("http://127.0.0.1:1", DIGITS) == (
        "curl -s http://127.0.0.1:1/predict -H 'Content-Type: application/json' "
        """-d '{"instances": [[0.0, 0.0, 0.0, 0.0]]}'"""
    )


@pytest.fixture
def serve(rootfs: Path) -> Iterator[Serve]:
    """Start `ml-containerize serve`; gives the process and the address that it tells."""
    running: list[Any] = []

    def start(image: str | Path, engine: str, *flags: str) -> tuple[Any, str]:
        command = str(Path(sys.executable).parent / "ml-containerize")
        argv = [command, "serve", str(image), "--engine", engine, "--cache-dir", str(rootfs), *flags]
        process = subprocess.Popen(argv, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stderr
        for line in process.stderr:
            if found := re.match(r"(http://127\.0\.0\.1:\d+) answers until Ctrl-C", line):
                return process, found[1]
        pytest.fail("the server was not introduced", pytrace=False)

    yield start
    for process in running:
        process.kill()
        process.communicate()


@pytest.mark.e2e
@pytest.mark.parametrize("which", ["embedded", "docker"])
def test_a_layout_folder_is_served_until_ctrl_c(
    request: pytest.FixtureRequest, which: str, make_image: Any, serve: Serve
) -> None:
    if which == "docker":
        request.getfixturevalue("docker_engine")
    process, url = serve(make_image().content.layout.path, which)
    answer = requests.post(f"{url}/predict", json={"data": [[1, 2]]}, timeout=10)
    assert answer.json()["predictions"] == [[3.0]]
    assert any("POST /predict" in line for line in process.stderr)
    process.send_signal(signal.SIGINT)
    stdout, _ = process.communicate(timeout=30)
    assert (process.returncode, stdout) == (0, "")
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=5)


@pytest.mark.e2e
def test_an_image_in_a_registry_is_served(make_image: Any, registry: str, skopeo: str, serve: Serve) -> None:
    layout = make_image().content.layout.path
    target = f"docker://{registry}/faulty:1"
    subprocess.run([skopeo, "copy", "-q", "--dest-tls-verify=false", f"oci:{layout}", target], check=True)
    _, url = serve(f"{registry}/faulty:1", "embedded")
    assert requests.get(f"{url}/readyz", timeout=10).status_code == 200


@pytest.mark.e2e
def test_a_server_that_falls_over_ends_the_command_with_exit_5(make_image: Any, serve: Serve) -> None:
    process, url = serve(make_image("dies").content.layout.path, "embedded")
    with pytest.raises(requests.ConnectionError):
        requests.post(f"{url}/predict", json={"data": [[1]]}, timeout=10)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 5
    assert "the model divides by zero" in stderr
    assert "the container exited with status 3" in stderr


@pytest.mark.e2e
@pytest.mark.skipif(not shutil.which("unshare"), reason="needs util-linux")
def test_where_user_namespaces_are_forbidden_the_embedded_engine_is_exit_8(
    make_image: Any, rootfs: Path
) -> None:
    """The limit is set inside a user namespace of the test's own: it is nobody else's."""
    forbid = 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"'
    argv = ["unshare", "--user", "--map-root-user", "sh", "-c", forbid, "sh"]
    argv += [str(Path(sys.executable).parent / "ml-containerize"), "serve"]
    argv += [str(make_image().content.layout.path), "--engine", "embedded", "--cache-dir", str(rootfs)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 8, done.stderr
    assert "user namespaces are forbidden here" in done.stderr
    assert "sudo sysctl -w user.max_user_namespaces" in done.stderr
    assert "engine: docker" in done.stderr
