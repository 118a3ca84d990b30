"""The real server as a process of its own."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 120  # seconds until a busy machine has imported TensorFlow


@dataclass(slots=True)
class Server:
    """`python -m serving` as a process of its own."""

    process: subprocess.Popen[bytes]
    folder: Path
    port: int

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
        status, text = self.exchange(path, body)
        return status, json.loads(text)

    def text(self, path: str) -> str:
        return self.exchange(path)[1].decode()

    def exchange(self, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Status and body of one request on its own connection."""
        connection = self.connect()
        try:
            connection.request("GET" if body is None else "POST", path, body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def wait_until_listening(self) -> None:
        self.wait_for(lambda: self.answers("/healthz"))

    def wait_until_ready(self) -> None:
        self.wait_for(lambda: self.answers("/readyz"))

    def answers(self, path: str) -> bool:
        try:
            return self.ask(path)[0] == 200
        except OSError:
            return False

    def says(self, message: str) -> bool:
        return any(message in line["message"] for line in self.errors)

    @property
    def workers(self) -> list[int]:
        """The process ids of the workers."""
        parent = self.process.pid
        return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]

    def stop(self, signal_number: int = signal.SIGTERM) -> int:
        """Send the signal; the exit status."""
        self.process.send_signal(signal_number)
        return self.process.wait(PATIENCE)

    def wait_for(self, probe: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            if found := probe():
                return found
            time.sleep(0.05)
        pytest.fail(f"the server did not start:\n{(self.folder / 'stderr').read_text()}", pytrace=False)


def json_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


Start = Callable[..., Server]


@contextmanager
def starting(folder: Path) -> Iterator[Start]:
    """`start(model, WORKERS="2")` starts a server on a free port; it is killed at the end."""
    servers: list[Server] = []

    def start(model: Path, *, wrapper: tuple[str, ...] = (), **environ: str) -> Server:
        logs = folder / f"server-{len(servers)}"
        logs.mkdir()
        environ = {"PORT": str(free_port()), **environ}
        with (logs / "stdout").open("wb") as stdout, (logs / "stderr").open("wb") as stderr:
            process = subprocess.Popen(
                [*wrapper, sys.executable, "-m", "serving"],
                cwd=ROOT,
                env={"PATH": os.environ["PATH"], **serving_environ(model), **environ},
                stdout=stdout,
                stderr=stderr,
            )
        servers.append(Server(process, logs, int(environ["PORT"]) if environ["PORT"].isdigit() else 0))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.process.kill()  # its workers end with it
        server.process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def serving_environ(model: Path) -> dict[str, str]:
    """The environment of an image, less PATH."""
    return {
        "MODEL_PATH": str(model),
        "HOST": "127.0.0.1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }
