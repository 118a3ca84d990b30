"""Logs as JSON on stderr, one line for each event."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

import orjson


class JsonFormatter(logging.Formatter):
    """`{"time", "level", "logger", "message"}`, then the record's `fields`, then `trace` for an exception.

    A line is one line whatever was logged: JSON has no line breaks inside of strings.
    """

    def format(self, record: logging.LogRecord) -> str:
        own: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line = {**own, **getattr(record, "fields", {}), **own}
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = self.formatStack(record.stack_info)
        return _one_line(line)


def _one_line(line: dict[str, Any]) -> str:
    try:
        return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except orjson.JSONEncodeError:  # an integer beyond 64 bits, half of a surrogate pair
        return json.dumps(line, default=str)


def log_to_stderr() -> None:
    """Every library's log lines and warnings, from warning up, and this server's own from info up."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.root.handlers[:] = [handler]
    logging.captureWarnings(True)
    logging.getLogger("serving").setLevel(logging.INFO)
