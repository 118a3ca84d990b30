"""What clients may do to the server, and what it does to them: the real one, over a model in plain Python."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.serving.process import Server, Start, starting

pytestmark = pytest.mark.e2e

PREDICTOR = '''
import threading, time
from pathlib import Path

def load(path):
    return path

def predict(path, inputs):
    """Answers each row with itself; a row says what else happens."""
    for row in inputs:
        if row == "raise":
            raise ValueError("no such row")
        while row == "wait" and not (path / "go").exists():
            time.sleep(0.01)
    return inputs
'''


def body(*rows: Any) -> bytes:
    return json.dumps({"instances": list(rows)}).encode()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model that answers each row with itself, "wait" once there is a file `go`, "raise" not at all."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "predictor.py").write_text(PREDICTOR)
    return folder


def ready(server: Server) -> Server:
    server.wait_until_ready()
    return server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A ready server that waits a second for a body."""
    folder = tmp_path_factory.mktemp("front")
    (folder / "model").mkdir()
    (folder / "model" / "predictor.py").write_text(PREDICTOR)
    with starting(folder) as start:
        yield ready(start(folder / "model", BODY_TIMEOUT="1"))


def send(server: Server, head: str, payload: bytes = b"") -> socket.socket:
    """A connection on which a request's head and a part of its body were sent."""
    client = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    client.sendall(f"{head}\r\nHost: server\r\n".encode() + payload)
    return client


def status_of(client: socket.socket) -> int:
    return int(client.makefile("rb").readline().split()[1])


def test_two_hundred_clients_that_send_half_hold_up_nobody_and_are_sent_away(server: Server) -> None:
    half = b"Content-Length: 30\r\n\r\n" + body(1)[:10]
    slow = [send(server, "POST /predict HTTP/1.1", half) for _ in range(200)]
    assert server.ask("/predict", body(1)) == (200, {"predictions": [1]})
    assert {status_of(client) for client in slow} == {408}
    for client in slow:
        client.close()


def test_a_body_of_a_gigabyte_is_refused_before_it_is_sent(server: Server) -> None:
    client = send(server, "POST /predict HTTP/1.1", b"Content-Length: 1073741824\r\n\r\n")
    assert status_of(client) == 413
    client.close()


@pytest.mark.parametrize("length", [b"-1", b"1e3", b"99999999999999999999999"])
def test_a_length_that_is_none_is_refused(server: Server, length: bytes) -> None:
    client = send(server, "POST /predict HTTP/1.1", b"Content-Length: " + length + b"\r\n\r\n")
    assert status_of(client) in (400, 413)
    client.close()
    assert server.ask("/predict", body(1))[0] == 200


@pytest.mark.parametrize(
    "garbage",
    [b"", b"\0" * 1000, b"GET\r\n\r\n", b"POST /predict HTTP/9.9\r\n\r\n"],
    ids=["nothing", "zeros", "half a line", "another version"],
)
def test_what_is_no_http_ends_only_its_own_connection(server: Server, garbage: bytes) -> None:
    address = ("127.0.0.1", server.port)
    with socket.create_connection(address, timeout=30) as client, suppress(OSError):  # it may close first
        client.sendall(garbage)
        client.shutdown(socket.SHUT_WR)
        while client.recv(4096):
            pass
    assert server.ask("/predict", body(1))[0] == 200


def test_clients_that_hang_up_while_the_model_works_cost_nothing(start: Start, model: Path) -> None:
    server = ready(start(model))
    waiting = body("wait")
    for _ in range(20):
        head = f"Content-Length: {len(waiting)}\r\n\r\n".encode()
        send(server, "POST /predict HTTP/1.1", head + waiting).close()
    (model / "go").touch()
    assert server.ask("/predict", body(1))[0] == 200
    assert not [line for line in server.errors if line["level"] in ("error", "critical")]


def test_a_model_that_raises_fails_its_own_request_only(server: Server) -> None:
    with ThreadPoolExecutor(8) as clients:
        rows = ["raise" if at % 4 == 0 else at for at in range(64)]
        answers = list(clients.map(lambda row: server.ask("/predict", body(row)), rows))
    for row, (status, answer) in zip(rows, answers, strict=True):
        if row == "raise":
            assert (status, answer["error"]) == (
                500,
                "the model failed on this input; the server's log says why",
            )
        else:
            assert (status, answer) == (200, {"predictions": [row]})
    assert any("no such row" in line["message"] for line in server.errors)


def test_a_full_queue_sends_clients_away_until_later(start: Start, model: Path) -> None:
    server = ready(start(model, MAX_QUEUE="2", BATCHING="off"))
    answers = []

    def ask() -> None:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request("POST", "/predict", body("wait"))
        answer = connection.getresponse()
        answers.append((answer.status, answer.headers["Retry-After"], json.loads(answer.read())))
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(10)]
    for thread in threads:
        thread.start()
    server.wait_for(lambda: len(answers) == 7)
    (model / "go").touch()
    for thread in threads:
        thread.join()
    refused, answered = answers[:7], answers[7:]
    assert {(status, after is not None) for status, after, _ in refused} == {(503, True)}
    assert {answer["error"] for *_, answer in refused} == {"the queue is full"}
    assert [status for status, *_ in answered] == [200] * 3


def test_nobody_waits_for_the_model_longer_than_the_request_timeout(start: Start, model: Path) -> None:
    server = ready(start(model, REQUEST_TIMEOUT="0.3", BATCHING="off"))
    with ThreadPoolExecutor(2) as clients:
        first = clients.submit(server.ask, "/predict", body("wait"))
        server.wait_for(lambda: "mlc_in_flight 1.0" in server.text("/metrics"))
        late = clients.submit(server.ask, "/predict", body(2))
        assert late.result()[0] == 503
        (model / "go").touch()
        assert first.result() == (200, {"predictions": ["wait"]})


def test_a_request_is_known_by_its_id_and_trace_in_answer_and_log(server: Server) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    connection = server.connect()
    headers = {"X-Request-Id": "cafe-1", "traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    connection.request("POST", "/predict", body(1, 2), headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert answer.headers["X-Request-Id"] == "cafe-1"
    (line,) = server.wait_for(lambda: [line for line in server.requests if line["request_id"] == "cafe-1"])
    assert (line["trace_id"], line["rows"], line["status"]) == (trace, 2, 200)


def test_a_key_is_asked_for_and_never_logged(start: Start, model: Path, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("sesame\n")
    server = ready(start(model, API_KEY_FILE=str(tmp_path / "keys")))
    assert server.ask("/predict", body(1))[0] == 401
    connection = server.connect()
    connection.request("POST", "/predict", body(1), {"Authorization": "Bearer sesame"})
    assert connection.getresponse().status == 200
    connection.close()
    assert server.stop() == 0
    for name in ("stdout", "stderr"):
        assert "sesame" not in (server.folder / name).read_text()


def test_a_sample_of_requests_is_logged_without_their_values(
    start: Start, model: Path, tmp_path: Path
) -> None:
    log = tmp_path / "requests.jsonl"
    server = ready(start(model, REQUEST_LOG=str(log)))
    assert server.ask("/predict", body("secret"))[0] == 200
    server.wait_for(lambda: log.exists() and log.read_text().endswith("\n"))
    (line,) = map(json.loads, log.read_text().splitlines())
    assert line["rows"] == 1
    assert "secret" not in log.read_text()
