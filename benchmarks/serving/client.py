"""A client that compares every answer: on a timetable, or as fast as they come.

wrk measures how fast a server can be; this one, whether it is right, and how long few requests that take long
wait. A request that is late because all connections wait counts from the moment when it was due.
Threads with blocking sockets: the kernel wakes them within some tens of microseconds, event loops within one
millisecond.
"""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import numpy as np

from benchmarks.serving.load import Load, Reply

TIMEOUT = 60.0  # seconds for one answer


@dataclass(frozen=True, slots=True)
class Sent:
    """One request: which body, seconds from when it was due to its whole answer, and the answer."""

    index: int
    seconds: float
    reply: Reply


@dataclass(frozen=True, slots=True)
class Checked:
    """A run on a timetable: answers a second, latencies in seconds, answers compared, and wrong ones."""

    rate: float
    p50: float
    p99: float
    longest: float
    checked: int
    failing: int


class Connection:
    """One HTTP/1.1 connection that is kept open; answers must have a Content-Length (RFC 9112, 6.3)."""

    def __init__(self, origin: str, load: Load) -> None:
        where = urlsplit(origin)
        self._address = (where.hostname or "", where.port or 80)
        self._requests = [_request(where.netloc, load, body) for body in load.bodies]
        self._socket: socket.socket | None = None

    def send(self, index: int) -> Reply:
        """The reply to body `index`; raises OSError, also where the server hangs up."""
        try:
            return self._send(self._requests[index])
        except OSError:
            self.close()
            raise

    def _send(self, request: bytes) -> Reply:
        if self._socket is None:
            self._socket = socket.create_connection(self._address, TIMEOUT)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(request)
        received = bytearray()
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self._receive()
        first, *lines = received[:end].decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        size = end + 4 + int(headers["content-length"])
        while len(received) < size:
            received += self._receive()
        if headers.get("connection", "").lower() == "close" or first.startswith("HTTP/1.0"):
            self.close()
        return Reply(int(first.split()[1]), headers, bytes(received[end + 4 : size]))

    def _receive(self) -> bytes:
        assert self._socket is not None
        data = self._socket.recv(1 << 18)
        if not data:
            raise ConnectionError("the server hung up")
        return data

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def send_at(origin: str, load: Load, *, rate: float, seconds: float, connections: int) -> Checked:
    """Send `rate` requests a second on at most `connections` connections, then compare all answers.

    What could not be sent in time because all connections were busy counts as a wait until the end.
    """
    start = time.perf_counter() + 0.05
    end = start + seconds
    due = ((number, start + number / rate) for number in range(max(1, round(rate * seconds))))
    lock = threading.Lock()
    sent: list[Sent] = []
    unsent: list[float] = []

    def work(connection: Connection) -> None:
        while True:
            with lock:
                number, moment = next(due, (-1, 0.0))
            if number < 0:
                return
            if (early := moment - time.perf_counter()) > 0:
                time.sleep(early)
                moment = time.perf_counter()  # a timer that rings late is no wait of the server's making
            if time.perf_counter() > end:
                unsent.append(end - moment)
                continue
            sent.append(_timed(connection, number % len(load.bodies), moment))

    _on_each(origin, load, connections, work)
    return _summary(load, sent, unsent, seconds)


def send_on(origin: str, load: Load, *, connections: int, seconds: float) -> Checked:
    """Keep all connections busy, then compare all answers.

    Unlike wrk this waits for the last answers and counts that time, which makes a difference where one answer
    takes a good part of the time that is measured.
    """
    start = time.perf_counter()
    numbers = itertools.count()
    sent: list[Sent] = []

    def work(connection: Connection) -> None:
        while (now := time.perf_counter()) < start + seconds:
            sent.append(_timed(connection, next(numbers) % len(load.bodies), now))

    _on_each(origin, load, connections, work)
    return _summary(load, sent, [], time.perf_counter() - start)


def _on_each(origin: str, load: Load, connections: int, work: Callable[[Connection], None]) -> None:
    """Let one thread work on each connection, and wait for them all."""
    opened = [Connection(origin, load) for _ in range(connections)]
    threads = [threading.Thread(target=work, args=(connection,)) for connection in opened]
    for thread in threads:
        thread.start()
    for thread, connection in zip(threads, opened, strict=True):
        thread.join()
        connection.close()


def _timed(connection: Connection, index: int, due: float) -> Sent:
    try:
        reply = connection.send(index)
    except OSError as error:
        reply = Reply(0, {}, repr(error).encode())
    return Sent(index, time.perf_counter() - due, reply)


def _summary(load: Load, sent: list[Sent], unsent: list[float], seconds: float) -> Checked:
    waits = np.array([each.seconds for each in sent] + unsent)
    failing = sum(not load.is_right(each.index, each.reply) for each in sent)
    p50, p99 = np.percentile(waits, (50, 99))
    return Checked(len(sent) / seconds, float(p50), float(p99), float(waits.max()), len(sent), failing)


def _request(host: str, load: Load, body: bytes) -> bytes:
    headers = {"Host": host, **load.headers, "Content-Length": str(len(body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {load.path} HTTP/1.1\r\n{lines}\r\n".encode() + body
