"""An answer as the bytes that go over HTTP/1.1 (RFC 9112)."""

from __future__ import annotations

import time
from email.utils import formatdate
from http import HTTPStatus

from serving.http import Answer

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}


def as_bytes(
    answer: Answer, more: tuple[tuple[str, str], ...] = (), *, close: bool = False, body: bool = True
) -> bytes:
    """Head and body in one piece, with `more` headers; without the body where a HEAD request asked."""
    lines = [
        _STATUS_LINES.get(answer.status) or f"HTTP/1.1 {answer.status} \r\n",
        f"content-type: {answer.content_type}\r\n",
    ]
    for name, value in (*answer.headers, *more):
        lines.append(f"{name}: {value}\r\n")
    if body or answer.body:
        lines.append(f"content-length: {len(answer.body)}\r\n")
    if close:
        lines.append("connection: close\r\n")
    lines.append(f"date: {_now()}\r\n\r\n")
    head = "".join(lines).encode("latin-1", "replace")
    return head + answer.body if body else head


class _Date:
    """The time as RFC 9110, section 5.6.7 writes it, made once a second."""

    def __init__(self) -> None:
        self._second = 0
        self._text = ""

    def __call__(self) -> str:
        second = int(time.time())
        if second != self._second:
            self._second, self._text = second, formatdate(second, usegmt=True)
        return self._text


_now = _Date()
