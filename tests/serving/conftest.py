from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from serving.runtimes import Model, find, load
from serving.settings import prepare_frameworks
from serving.signature import Signature, TensorSpec
from serving.tensors import Tensor

ROOT = Path(__file__).parents[2]
PATIENCE = 120  # seconds until a busy machine has imported TensorFlow


@pytest.fixture(scope="session")
def load_model() -> Callable[[Path], Model]:
    """Load a model as the server does, TensorFlow set up as there."""
    prepare_frameworks(os.environ, cpus=2)
    return lambda path: load(find(path))


@pytest.fixture(scope="session")
def digits_model(load_model: Callable[[Path], Model]) -> Model:
    return load_model(ROOT / "examples" / "digits")


PAIRS_DOUBLED = Signature(
    (TensorSpec("numbers", "float32", (None, 2)),), (TensorSpec("doubled", "float32", (None, 2)),)
)


@dataclass(slots=True)
class Doubler:
    """A model without a framework: answers twice its input, or raises what it is told to."""

    signature: Signature = PAIRS_DOUBLED
    device: str = "cpu"
    error: Exception | None = None

    def predict(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        if self.error is not None:
            raise self.error
        return {"doubled": batch["numbers"] * 2}


@pytest.fixture
def doubler() -> Doubler:
    return Doubler()


@dataclass(slots=True)
class Server:
    """`python -m serving` as a process of its own, on a port that the kernel chose."""

    process: subprocess.Popen[bytes]
    folder: Path
    port: int = 0

    @property
    def errors(self) -> list[dict[str, Any]]:
        return json_lines(self.folder / "stderr")

    @property
    def requests(self) -> list[dict[str, Any]]:
        return json_lines(self.folder / "stdout")

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def ask(self, path: str, body: bytes | None = None) -> tuple[int, Any]:
        """Status and JSON of one request on its own connection."""
        connection = self.connect()
        try:
            connection.request("GET" if body is None else "POST", path, body)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def wait_until_listening(self) -> None:
        found = self._wait(lambda: re.search(r"127\.0\.0\.1:(\d+)", (self.folder / "stderr").read_text()))
        self.port = int(found[1])

    def wait_until_ready(self) -> None:
        self._wait(lambda: self.ask("/readyz")[0] == 200)

    def stop(self, signal_number: int = signal.SIGTERM) -> int:
        """Send the signal; the exit status."""
        self.process.send_signal(signal_number)
        return self.process.wait(PATIENCE)

    def _wait(self, probe: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            if found := probe():
                return found
            time.sleep(0.05)
        pytest.fail(f"the server did not start:\n{(self.folder / 'stderr').read_text()}", pytrace=False)


def json_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


Start = Callable[..., Server]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """`start(model, PORT="0")` starts a server that listens; it is killed at the test's end."""
    servers: list[Server] = []

    def start(model: Path, *, wrapper: tuple[str, ...] = (), **environ: str) -> Server:
        folder = tmp_path / f"server-{len(servers)}"
        folder.mkdir()
        with (folder / "stdout").open("wb") as stdout, (folder / "stderr").open("wb") as stderr:
            process = subprocess.Popen(
                [*wrapper, sys.executable, "-m", "serving"],
                cwd=ROOT,
                env={"PATH": os.environ["PATH"], **serving_environ(model), **environ},
                stdout=stdout,
                stderr=stderr,
            )
        servers.append(Server(process, folder))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.process.kill()
        server.process.wait()


def serving_environ(model: Path) -> dict[str, str]:
    """The environment of an image, less PATH."""
    return {
        "MODEL_PATH": str(model),
        "HOST": "127.0.0.1",
        "PORT": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }
