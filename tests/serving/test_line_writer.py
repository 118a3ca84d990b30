from __future__ import annotations

import os
import select
import socket
import threading
import time
from pathlib import Path

import pytest

from serving.line_writer import AppendedFile, Descriptor, LineWriter


class Kept:
    """A sink that keeps what it gets, or is full for some time."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.error: OSError | None = None

    def write(self, lines: bytes) -> None:
        if self.error is not None:
            raise self.error
        self.pieces.append(lines)


def line_of(number: int) -> bytes:
    return b"%d\n" % number


def test_lines_are_written_in_their_order() -> None:
    sink = Kept()
    writer = LineWriter(sink, line_of)
    for number in range(10_000):
        writer.put(number, 8)
    writer.close()
    assert b"".join(sink.pieces) == b"".join(map(line_of, range(10_000)))


def test_pieces_are_whole_lines_that_a_pipe_takes_at_once() -> None:
    sink = Kept()
    writer = LineWriter(sink, line_of)
    for number in range(10_000):
        writer.put(number, 8)
    writer.close()
    assert all(piece.endswith(b"\n") and len(piece) <= select.PIPE_BUF for piece in sink.pieces)
    assert len(sink.pieces) < 20


def test_a_line_longer_than_a_pipe_takes_is_written_all_the_same() -> None:
    sink = Kept()
    writer = LineWriter(sink, lambda line: line)
    long = b"x" * 2 * select.PIPE_BUF + b"\n"
    for line in (b"a\n", long, b"b\n"):
        writer.put(line, len(line))
    writer.close()
    assert sink.pieces == [b"a\n", long, b"b\n"]


def test_lines_are_written_soon_without_being_closed() -> None:
    sink = Kept()
    writer = LineWriter(sink, line_of)
    for number in (1, 2):
        writer.put(number, 8)
        wait_until(lambda number=number: line_of(number) in b"".join(sink.pieces))  # type: ignore[misc]
    writer.close()


def test_no_thread_runs_before_there_is_a_line() -> None:
    before = threading.active_count()
    LineWriter(Kept(), line_of).close()
    assert threading.active_count() == before


def test_a_reader_that_does_not_read_neither_blocks_nor_fills_the_memory() -> None:
    reading, writing = os.pipe()
    lost: list[int] = []
    writer = LineWriter(Descriptor(writing), lambda line: line, most_pending=100_000, on_drop=lost.append)
    line = b"x" * 999 + b"\n"
    started = time.monotonic()
    for _ in range(2000):
        writer.put(line, len(line))
    assert time.monotonic() - started < 1
    assert sum(lost) >= 1800  # neither the pipe's 64 KiB nor the writer's 100 kB have room for more
    started = time.monotonic()
    writer.close(timeout=0.2)
    assert time.monotonic() - started < 1
    os.close(writing)
    kept = 2000 - sum(lost)
    with os.fdopen(reading, "rb") as pipe:
        assert sum(len(pipe.readline()) for _ in range(kept)) == kept * len(line)


def test_a_reader_that_is_gone_costs_lines_and_nothing_else() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    lost: list[int] = []
    writer = LineWriter(Descriptor(writing), line_of, on_drop=lost.append)
    for number in range(100):
        writer.put(number, 8)
    writer.close()
    os.close(writing)
    assert sum(lost) == 100


def test_a_closed_stdout_is_never_mistaken_for_what_gets_its_number_next() -> None:
    reading, writing = os.pipe()
    sink = Descriptor(writing)
    ours, theirs = socket.socketpair()
    os.dup2(ours.fileno(), writing)  # closes the pipe's end first
    sink.write(b"line\n")
    assert os.read(reading, 100) == b"line\n"
    theirs.setblocking(False)
    with pytest.raises(BlockingIOError):
        theirs.recv(1)
    for number in (reading, writing):
        os.close(number)
    ours.close()
    theirs.close()


def test_a_stdout_that_was_closed_from_the_beginning_loses_lines() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    os.close(writing)
    lost: list[int] = []
    writer = LineWriter(Descriptor(writing), line_of, on_drop=lost.append)
    writer.put(1, 8)
    writer.close()
    assert lost == [1]


def test_a_stdout_that_does_not_block_gets_everything_in_the_end() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    sink = Descriptor(writing)
    text = b"x" * 2**20
    writer = threading.Thread(target=sink.write, args=(text,))
    writer.start()
    got = 0
    while got < len(text):
        got += len(os.read(reading, 2**16))
    writer.join()
    for number in (reading, writing):
        os.close(number)


def test_writing_goes_on_when_the_disk_has_room_again(caplog: pytest.LogCaptureFixture) -> None:
    sink = Kept()
    sink.error = OSError(28, "No space left on device")
    lost: list[int] = []
    writer = LineWriter(sink, line_of, on_drop=lost.append)
    for number in (1, 2):
        writer.put(number, 8)
        wait_until(lambda number=number: sum(lost) == number)  # type: ignore[misc]
    sink.error = None
    writer.put(3, 8)
    writer.close()
    assert sink.pieces == [b"3\n"]
    said = [record.message for record in caplog.records if record.name == "serving"]
    assert said == ["log lines are lost: [Errno 28] No space left on device"]


def test_an_item_that_cannot_be_rendered_is_lost_alone() -> None:
    sink = Kept()
    lost: list[int] = []
    writer = LineWriter(sink, lambda number: line_of(1 // number), on_drop=lost.append)
    for number in (1, 0, 1):
        writer.put(number, 8)
    writer.close()
    assert (b"".join(sink.pieces), lost) == (b"1\n1\n", [1])


def test_what_comes_after_the_end_is_lost() -> None:
    lost: list[int] = []
    writer = LineWriter(Kept(), line_of, on_drop=lost.append)
    writer.close()
    writer.put(1, 8)
    assert lost == [1]


def test_a_file_grows_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"0\n")
    sink = AppendedFile(path)
    sink.write(b"1\n")
    sink.write(b"2\n")
    assert path.read_bytes() == b"0\n1\n2\n"


def test_a_rotated_file_is_opened_anew(tmp_path: Path) -> None:
    path = tmp_path / "log"
    sink = AppendedFile(path)
    sink.write(b"1\n")
    path.rename(tmp_path / "log.1")
    sink.write(b"2\n")
    assert (tmp_path / "log.1").read_bytes() == b"1\n"
    assert path.read_bytes() == b"2\n"


def test_a_file_that_was_emptied_in_its_place_has_no_hole(tmp_path: Path) -> None:
    path = tmp_path / "log"
    sink = AppendedFile(path)
    sink.write(b"1\n")
    os.truncate(path, 0)
    sink.write(b"2\n")
    assert path.read_bytes() == b"2\n"


def wait_until(condition: object) -> None:
    deadline = time.monotonic() + 5
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.005)
