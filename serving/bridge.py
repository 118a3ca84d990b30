"""One request through a WSGI application, from value to value (PEP 3333)."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import Any
from urllib.parse import unquote_to_bytes

from serving.answers import reason_of
from serving.http import JSON, Answer, Request

_UNPREFIXED = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}


def through_wsgi(application: Any, request: Request) -> Answer:
    """Call the application; its whole answer is held in memory."""
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], _error: Any = None) -> None:
        started.append((status, headers))

    chunks: Iterable[bytes] = application(_environ(request), start_response)
    try:
        body = b"".join(chunks)
    finally:
        if close := getattr(chunks, "close", None):
            close()
    line, headers = started[-1]
    status = int(line.split(maxsplit=1)[0])
    named = {name.lower(): value for name, value in headers}
    content_type = named.pop("content-type", JSON)
    named.pop("content-length", None)
    return Answer(status, body, content_type, tuple(named.items()), reason_of(status))


def _environ(request: Request) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(request.path).decode("latin-1"),
        "QUERY_STRING": request.query,
        "SERVER_NAME": "server",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(request.body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **_variables(request.headers),
        "CONTENT_LENGTH": str(len(request.body)),
    }


def _variables(headers: Mapping[str, str]) -> dict[str, str]:
    return {
        _UNPREFIXED.get(name, f"HTTP_{name.upper().replace('-', '_')}"): value
        for name, value in headers.items()
        if name != "transfer-encoding"  # the body is whole by now
    }
