"""gunicorn's log as JSON: one line for each request on stdout, its own events on stderr."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from gunicorn.glogging import Logger

from serving.logs import JsonFormatter

PROBES = frozenset({"/healthz", "/readyz"})


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
