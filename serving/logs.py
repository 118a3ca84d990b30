"""Logs as JSON, one line for each event: requests on stdout, everything else on stderr."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from gunicorn.glogging import Logger

PROBES = frozenset({"/healthz", "/readyz"})


class JsonFormatter(logging.Formatter):
    """`{"time", "level", "message"}`, then the record's `fields`, then `trace` for an exception."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def log_to_stderr() -> None:
    """Every library's log lines and warnings, from warning up, and this server's own from info up."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.root.handlers[:] = [handler]
    logging.captureWarnings(True)
    logging.getLogger("serving").setLevel(logging.INFO)


class JsonLogger(Logger):  # type: ignore[misc] # gunicorn is untyped
    """gunicorn's logger with JSON lines; probes, which come every second, are not logged."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        for log in (self.error_log, self.access_log):
            for handler in log.handlers:
                handler.setFormatter(JsonFormatter())

    def access(self, resp: Any, _req: Any, environ: dict[str, Any], request_time: timedelta) -> None:
        path = environ.get("PATH_INFO", "")
        if path in PROBES:
            return
        status = int(str(resp.status).split(maxsplit=1)[0])
        method = environ.get("REQUEST_METHOD", "")
        fields = {
            "method": method,
            "path": path,
            "status": status,
            "ms": round(request_time / timedelta(milliseconds=1), 2),
            "bytes_in": environ.get("CONTENT_LENGTH", ""),
            "bytes_out": getattr(resp, "sent", 0),
            "client": environ.get("REMOTE_ADDR", ""),
        }
        self.access_log.info("%s %s %s", method, path, status, extra={"fields": fields})
