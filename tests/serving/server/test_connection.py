"""What goes over one connection: the real server, over a model that answers with its input."""

from __future__ import annotations

import json
import re
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.serving.process import Server, Start, starting

pytestmark = pytest.mark.e2e

PREDICTOR = """
def load(path):
    return path

def predict(path, inputs):
    return inputs
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A ready server that waits a second for a body."""
    folder = tmp_path_factory.mktemp("connection")
    with starting(folder) as start:
        server = start(echo(folder), BODY_TIMEOUT="1")
        server.wait_until_ready()
        yield server


def echo(folder: Path) -> Path:
    """A model that answers each row with itself."""
    (folder / "model").mkdir()
    (folder / "model" / "predictor.py").write_text(PREDICTOR)
    return folder / "model"


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=30)


def predict(*rows: Any, headers: str = "", version: str = "1.1") -> bytes:
    body = json.dumps({"instances": list(rows)}).encode()
    head = f"POST /predict HTTP/{version}\r\nHost: server\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def get(path: str, headers: str = "", method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: server\r\n{headers}\r\n".encode()


def read(client: socket.socket) -> bytes:
    """All until the server hangs up."""
    received = bytearray()
    while data := client.recv(2**16):
        received += data
    return bytes(received)


def exchange(server: Server, data: bytes) -> bytes:
    """What the server says to that, until it hangs up."""
    with closing(connect(server)) as client:
        client.sendall(data)
        return read(client)


def statuses(answers: bytes) -> list[int]:
    return [int(each) for each in re.findall(rb"HTTP/1\.1 (\d{3}) ", answers)]


LAST = "Connection: close\r\n"


def test_requests_sent_at_once_are_answered_in_their_order(server: Server) -> None:
    rows = list(range(50))
    data = b"".join(predict(row) for row in rows[:-1]) + get("/healthz") + predict(rows[-1], headers=LAST)
    answers = exchange(server, data)
    assert statuses(answers) == [200] * 51
    assert [int(row) for row in re.findall(rb'"predictions":\[(\d+)\]', answers)] == rows
    assert answers.index(b'"alive"') > answers.index(b"[48]")


def test_a_request_in_single_bytes_is_one_request(server: Server) -> None:
    with closing(connect(server)) as client:
        for byte in predict(1, headers=LAST):
            client.send(bytes([byte]))
        assert b'{"predictions":[1]}' in read(client)


def test_a_connection_stays_open_for_the_next_request_unless_that_is_declined(server: Server) -> None:
    with closing(connect(server)) as client:
        for row in (1, 2):
            client.sendall(predict(row))
            assert f"[{row}]".encode() in client.recv(2**16)
        client.sendall(predict(3, headers=LAST))
        assert b"connection: close" in read(client)


def test_an_http_1_0_client_gets_its_answer_and_the_end(server: Server) -> None:
    answer = exchange(server, predict(1, version="1.0"))
    assert statuses(answer) == [200]
    assert b"connection: close" in answer


def test_head_is_answered_without_a_body(server: Server) -> None:
    answer = exchange(server, get("/healthz", method="HEAD") + get("/", LAST, method="HEAD"))
    assert statuses(answer) == [200, 200]
    assert answer.endswith(b"\r\n\r\n")
    assert b"alive" not in answer


def test_a_client_that_asks_first_is_told_to_go_on(server: Server) -> None:
    head, _, body = predict(1, headers=LAST + "Expect: 100-continue\r\n").partition(b"\r\n\r\n")
    with closing(connect(server)) as client:
        client.sendall(head + b"\r\n\r\n")
        assert client.recv(2**16) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(body)
        assert statuses(read(client)) == [200]


def test_a_client_that_asks_first_is_told_not_to(server: Server) -> None:
    data = get("/predict", "Expect: 100-continue\r\nContent-Length: 9999999999\r\n", method="POST")
    answer = exchange(server, data)
    assert statuses(answer) == [413]


def test_who_is_refused_early_can_still_send_the_rest_and_read_why(server: Server) -> None:
    size = 64 * 2**20
    with closing(connect(server)) as client:
        client.sendall(get("/predict", f"Content-Length: {size}\r\n", method="POST"))
        client.sendall(bytes(8 * 2**20))
        assert statuses(read(client)) == [413]


def test_a_chunked_body_is_put_together_and_its_trailer_is_no_header(server: Server) -> None:
    chunks = b'7\r\n{"insta\r\n' + b'c\r\nnces": [4]} \r\n'
    trailer = b"0\r\nX-Request-Id: trailer\r\n\r\n"
    data = get("/predict", LAST + "Transfer-Encoding: chunked\r\n", method="POST") + chunks + trailer
    answer = exchange(server, data)
    assert b'{"predictions":[4]}' in answer
    assert b"trailer" not in answer


@pytest.mark.parametrize(
    "headers",
    [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Content-Length: 5,5\r\n",
        "Content-Length: +5\r\n",
        "Bad Header: 1\r\n",
        "X: 1\r\n folded\r\n",
    ],
)
def test_heads_that_two_servers_could_read_differently_are_refused_and_the_rest_is_not_read(
    server: Server, headers: str
) -> None:
    """Request smuggling (RFC 9112, section 11.2)."""
    answer = exchange(server, get("/predict", headers, method="POST") + b"0\r\n\r\n" + get("/healthz"))
    assert statuses(answer) == [400]
    assert b"alive" not in answer


@pytest.mark.parametrize(
    "data", [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\0\x01", b"hello\r\n\r\n"]
)
def test_what_is_not_http_1_is_told_so_in_json(server: Server, data: bytes) -> None:
    head, _, body = exchange(server, data).partition(b"\r\n\r\n")
    assert statuses(head) == [400]
    assert json.loads(body)["error"].startswith("the request is not HTTP/1.1: ")


def test_garbage_after_a_request_costs_only_what_comes_after(server: Server) -> None:
    answers = exchange(server, predict(1) + b"\0\0\0garbage\r\n\r\n" + predict(2))
    assert statuses(answers) == [200]
    assert b"[1]" in answers


@pytest.mark.parametrize("target", ["http://elsewhere/healthz", "/healthz?x=1", "/healthz#part"])
def test_a_target_may_be_written_in_other_ways(server: Server, target: str) -> None:
    assert statuses(exchange(server, get(target, LAST))) == [200]


@pytest.mark.parametrize("target", ["*", "//", "/%", "?x", "http:///", "/\xff"])
def test_a_strange_target_is_a_fault_of_the_client(server: Server, target: str) -> None:
    data = f"OPTIONS {target} HTTP/1.1\r\nHost: server\r\n{LAST}\r\n".encode("latin-1")
    (status,) = statuses(exchange(server, data))
    assert 200 <= status < 500


def test_an_upgrade_is_not_taken_up(server: Server) -> None:
    asks = predict(1, headers="Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n")
    answers = exchange(server, asks + predict(2, headers=LAST))
    assert statuses(answers) == [200, 200]
    assert b"[1]" in answers


def test_it_is_no_proxy(server: Server) -> None:
    assert statuses(exchange(server, b"CONNECT elsewhere:80 HTTP/1.1\r\nHost: server\r\n\r\n")) == [400]


def test_a_head_without_an_end_is_refused(server: Server) -> None:
    with closing(connect(server)) as client:
        client.sendall(b"GET / HTTP/1.1\r\nX: ")
        client.sendall(b"a" * 400_000)
        assert statuses(read(client)) == [431]


def test_a_head_that_comes_too_slowly_is_refused(server: Server) -> None:
    started = time.monotonic()
    assert statuses(exchange(server, b"GET / HTTP/1.1\r\nX: ")) == [408]
    assert 9 < time.monotonic() - started < 20


def test_a_client_that_closed_its_side_still_gets_its_answers(server: Server) -> None:
    with closing(connect(server)) as client:
        client.sendall(predict(1) + predict(2))
        client.shutdown(socket.SHUT_WR)
        assert statuses(read(client)) == [200, 200]


def test_a_client_that_does_not_read_holds_up_nobody_and_is_hung_up_on(server: Server) -> None:
    many = predict(*["x" * 1000] * 100)
    with closing(connect(server)) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(0.5)
        with pytest.raises((TimeoutError, ConnectionError)):
            client.sendall(many * 200)
        assert server.ask("/predict", b'{"instances": [1]}') == (200, {"predictions": [1]})
        client.settimeout(30)
        with pytest.raises(ConnectionError):
            client.sendall(many * 200)


def test_a_slow_reader_gets_all_of_a_long_answer(server: Server) -> None:
    text = "x" * 15_000_000
    with closing(connect(server)) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**16)
        client.sendall(predict(text, headers=LAST))
        received = 0
        while data := client.recv(2**16):
            received += len(data)
            time.sleep(0.02)
        assert received > len(text)


def test_a_body_that_stays_out_behind_other_requests_is_not_waited_for_either(server: Server) -> None:
    half = predict(3)[:-5]
    with closing(connect(server)) as client:
        client.sendall(predict(1) + predict(2) + half)
        assert statuses(read(client)) == [200, 200, 408]


def test_more_connections_than_files_are_turned_away(start: Start, tmp_path: Path) -> None:
    few = (str(shutil.which("prlimit")), "--nofile=266:266")
    server = start(echo(tmp_path), wrapper=few)
    server.wait_until_ready()
    idle = [connect(server) for _ in range(10)]
    (status,) = statuses(exchange(server, get("/healthz")))
    assert status == 503
    for client in idle:
        client.close()
    server.wait_for(lambda: server.answers("/healthz"))


def test_idle_connections_do_not_delay_the_end(start: Start, tmp_path: Path) -> None:
    server = start(echo(tmp_path))
    server.wait_until_ready()
    with closing(connect(server)) as idle:
        idle.sendall(predict(1))
        idle.recv(2**16)
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started < 10
        assert idle.recv(1) == b""
