"""One JSON line on stdout for each request."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import orjson

from serving.line_writer import Descriptor, LineWriter, Sink

LONGEST = 1024  # characters of a path; what a client sends must not fill the disk

_OPTIONS = orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z


class AccessLog:
    """Lines are made at once and written soon after, or dropped where stdout does not take them."""

    def __init__(
        self, sink: Sink | None = None, *, on_drop: Callable[[int], None] = lambda _lines: None
    ) -> None:
        """`sink` is stdout by default; `on_drop` is told how many lines were lost."""
        self._writer: LineWriter[bytes] = LineWriter(sink or Descriptor(1), _as_it_is, on_drop=on_drop)

    def access(
        self,
        method: str,
        path: str,
        door: str,
        status: int,
        seconds: float,
        *,
        bytes_in: int = 0,
        bytes_out: int = 0,
        client: str = "",
        request_id: str = "",
        trace_id: str = "",
        rows: int = 0,
    ) -> None:
        """Log one answered request; `path` without its query, which may hold what is nobody's business."""
        fields = {
            "time": datetime.now(UTC),
            "level": "info",
            "message": "request",
            "method": method,
            "path": path if len(path) <= LONGEST else path[:LONGEST],
            "door": door,
            "status": status,
            "ms": int(seconds * 1e6) / 1e3,
            "bytes_in": bytes_in,
            "bytes_out": bytes_out,
            "client": client,
            "request_id": request_id,
            "trace_id": trace_id,
            "rows": rows,
        }
        try:
            line = orjson.dumps(fields, option=_OPTIONS)
        except orjson.JSONEncodeError:  # half of a surrogate pair
            line = orjson.dumps({key: _sound(value) for key, value in fields.items()}, option=_OPTIONS)
        self._writer.put(line, len(line))

    def close(self) -> None:
        """Write what is queued; a second at most."""
        self._writer.close()


def _as_it_is(line: bytes) -> bytes:
    return line


def _sound(value: object) -> object:
    """Text without what UTF-8 cannot carry."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
