from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.line_writer import Descriptor
from serving.request_log import RequestLog, sink_named, summary
from serving.tensors import Tensor

INPUTS = {"numbers": np.array([[1.0, 2.0], [3.0, np.nan]], np.float32)}
OUTPUTS = {"label": np.array([b"cat", b"\xff"], object)}


class Kept:
    def __init__(self) -> None:
        self.text = b""

    def write(self, lines: bytes) -> None:
        self.text += lines

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]


def recorded(inputs: Mapping[str, Tensor] = INPUTS, **options: Any) -> dict[str, Any]:
    sink = Kept()
    log = RequestLog(sink, sample=1, model_hash="sha256:abc", **options)
    log.record("id", "serving_default", 2, inputs, OUTPUTS)
    log.close()
    (line,) = sink.lines
    return line


def test_a_line_tells_about_the_values_without_the_values() -> None:
    line = recorded()
    assert line.pop("time").endswith("Z")
    assert line == {
        "request_id": "id",
        "model_hash": "sha256:abc",
        "signature": "serving_default",
        "rows": 2,
        "inputs": {"numbers": {"min": 1.0, "mean": 2.0, "max": 3.0, "missing": 1, "infinite": 0}},
        "outputs": {"label": {"missing": 0, "length": {"min": 1, "mean": 2.0, "max": 3}}},
    }


def test_payloads_are_there_only_when_asked_for() -> None:
    assert recorded(payloads=True)["payload"] == {
        "inputs": {"numbers": [[1.0, 2.0], [3.0, None]]},
        "outputs": {"label": ["cat", "\\xff"]},
    }


@pytest.mark.parametrize(
    ("array", "least", "mean", "greatest"),
    [
        (np.array([1, 2, 6], np.int64), 1, 3.0, 6),
        (np.array([2**64 - 1], np.uint64), 2**64 - 1, 2.0**64, 2**64 - 1),
        (np.array([True, False]), False, 0.5, True),
        (np.array([60000, 60000], np.float16), 60000.0, 60000.0, 60000.0),
        (np.array([1e308, 1.7e308]), 1e308, None, 1.7e308),
        (np.array([], np.float32), None, None, None),
    ],
)
def test_numbers_are_summarised(array: Tensor, least: object, mean: object, greatest: object) -> None:
    expected = {"min": least, "mean": mean, "max": greatest, "missing": 0, "infinite": 0}
    assert summary(array) == expected


@pytest.mark.parametrize(
    ("values", "finite", "missing", "infinite"),
    [([np.inf, -np.inf, 4], 4.0, 0, 2), ([np.nan, 4, 4], 4.0, 1, 0), ([np.nan, np.inf], None, 1, 1)],
)
def test_what_is_no_number_is_counted_apart(
    values: list[float], finite: float | None, missing: int, infinite: int
) -> None:
    counts = {"missing": missing, "infinite": infinite}
    assert summary(np.array(values)) == {"min": finite, "mean": finite, "max": finite, **counts}


def test_json_values_are_only_counted() -> None:
    assert summary(np.array([None, {"a": 1}, 3], object)) == {"missing": 1}


def test_a_sample_is_taken() -> None:
    chances = iter([0.1, 0.3, 0.24, 0.25, 0.9])
    sink = Kept()
    log = RequestLog(sink, sample=0.25, chance=lambda: next(chances))
    for number in range(5):
        log.record(str(number), "", 2, INPUTS, OUTPUTS)
    log.close()
    assert [line["request_id"] for line in sink.lines] == ["0", "2"]


def test_nothing_is_logged_at_a_share_of_zero() -> None:
    sink = Kept()
    log = RequestLog(sink, sample=0, chance=lambda: 0.0)
    log.record("id", "", 2, INPUTS, OUTPUTS)
    log.close()
    assert sink.lines == []


def test_tensors_that_nobody_takes_in_time_do_not_fill_the_memory() -> None:
    reading, writing = os.pipe()
    lost: list[int] = []
    log = RequestLog(Descriptor(writing), sample=1, on_drop=lost.append)
    image = {"image": np.zeros((1, 1024, 1024), np.float64)}
    for _ in range(20):
        log.record("id", "", 1, image, OUTPUTS)
    assert sum(lost) == 20 - 7  # 8 MiB each, 64 MiB with what is around them
    log.close()
    for number in (reading, writing):
        os.close(number)


def test_the_file_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    path.write_text("{}\n")
    log = RequestLog(sink_named(str(path)), sample=1)
    log.record("id", "", 2, INPUTS, OUTPUTS)
    log.close()
    assert [json.loads(line).get("request_id") for line in path.read_text().splitlines()] == [None, "id"]


def test_stdout_can_be_the_file(capfd: pytest.CaptureFixture[str]) -> None:
    log = RequestLog(sink_named("stdout"), sample=1)
    log.record("id", "", 2, INPUTS, OUTPUTS)
    log.close()
    assert json.loads(capfd.readouterr().out)["request_id"] == "id"


def test_a_file_that_cannot_be_written_costs_lines_and_nothing_else(tmp_path: Path) -> None:
    lost: list[int] = []
    log = RequestLog(sink_named(str(tmp_path / "missing" / "log")), sample=1, on_drop=lost.append)
    log.record("id", "", 2, INPUTS, OUTPUTS)
    log.close()
    assert lost == [1]
