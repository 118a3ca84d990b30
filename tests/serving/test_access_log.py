from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from serving.access_log import LONGEST, AccessLog
from serving.line_writer import Sink


class Kept:
    def __init__(self) -> None:
        self.text = b""

    def write(self, lines: bytes) -> None:
        self.text += lines


def logged(method: str = "POST", path: str = "/predict", **more: Any) -> dict[str, Any]:
    sink = Kept()
    log = AccessLog(sink)
    log.access(method, path, "predict", 200, 0.0123456, **more)
    log.close()
    (line,) = sink.text.splitlines()
    fields: dict[str, Any] = json.loads(line)
    return fields


def test_a_request_is_one_line_of_json_with_all_that_is_known_of_it() -> None:
    line = logged(bytes_in=10, bytes_out=20, client="192.0.2.1", request_id="id", trace_id="0af7", rows=3)
    time = datetime.fromisoformat(line.pop("time"))
    assert abs(datetime.now(UTC) - time) < timedelta(seconds=5)
    assert line == {
        "level": "info",
        "message": "request",
        "method": "POST",
        "path": "/predict",
        "door": "predict",
        "status": 200,
        "ms": 12.345,
        "bytes_in": 10,
        "bytes_out": 20,
        "client": "192.0.2.1",
        "request_id": "id",
        "trace_id": "0af7",
        "rows": 3,
    }


@pytest.mark.parametrize(
    "path", ['/a\n{"status": 200}', "/\r\n", '/"}', "/\x1b[2J", "/\x00", "/\u2028", "/é"]
)
def test_a_path_cannot_forge_a_line(path: str) -> None:
    assert logged(path=path)["path"] == path


def test_half_of_a_surrogate_pair_is_logged_by_its_number() -> None:
    assert logged(path="/\ud800")["path"] == "/\\ud800"


def test_a_long_path_is_cut() -> None:
    assert logged(path="/" * 10_000)["path"] == "/" * LONGEST


def test_lines_go_to_stdout(capfd: pytest.CaptureFixture[str]) -> None:
    log = AccessLog()
    log.access("GET", "/", "page", 200, 0.001)
    log.close()
    assert json.loads(capfd.readouterr().out)["path"] == "/"


def test_lines_that_stdout_does_not_take_are_counted() -> None:
    lost: list[int] = []
    log = AccessLog(closed_pipe(), on_drop=lost.append)
    log.access("GET", "/", "page", 200, 0.001)
    log.close()
    assert lost == [1]


def closed_pipe() -> Sink:
    from serving.line_writer import Descriptor

    reading, writing = os.pipe()
    sink = Descriptor(writing)
    os.close(reading)
    os.close(writing)
    return sink
