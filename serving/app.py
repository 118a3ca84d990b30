"""The Flask application: four routes over one model, and JSON for every answer, refusals included."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from serving.errors import Refused
from serving.predict import predict
from serving.runtimes import Model

log = logging.getLogger("serving")

ModelSource = Callable[[], Model | None]  # None while the model is not ready


def create_app(
    model: ModelSource,
    *,
    about: Mapping[str, str] | None = None,
    max_body: int = 16 * 2**20,
    max_rows: int = 4096,
) -> Flask:
    """Serve what `model` gives; `about` joins the signature on `GET /`; `max_body` is in bytes."""
    app = Flask("serving", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = max_body
    _probes(app, model)

    @app.get("/")
    def describe() -> Response:
        ready = model()
        if ready is None:
            return _not_ready()
        return _json({**(about or {}), "device": ready.device, **ready.signature.as_json()})

    @app.post("/predict")
    def answer() -> Response:
        ready = model()
        if ready is None:
            return _not_ready()
        return _json(predict(ready, _body(), max_rows))

    app.register_error_handler(Refused, _refused)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _failed)
    return app


def _probes(app: Flask, model: ModelSource) -> None:
    @app.get("/healthz")
    def alive() -> Response:
        return _json({"status": "alive"})

    @app.get("/readyz")
    def ready() -> Response:
        return _not_ready() if model() is None else _json({"status": "ready"})


def _body() -> bytes:
    """The request's body; raises RequestEntityTooLarge also where it came in chunks.

    Werkzeug cuts a chunked body off at the limit in silence; only reading on says that there was more.
    """
    body: bytes = request.stream.read()
    request.stream.read(1)
    return body


def _json(value: Any, status: int = 200) -> Response:
    return Response(json.dumps(value, allow_nan=False) + "\n", status, mimetype="application/json")


def _not_ready() -> Response:
    response = _json({"error": "the model is not loaded yet"}, 503)
    response.headers["Retry-After"] = "1"
    return response


def _refused(error: Refused) -> Response:
    return _json(error.as_json(), error.status)


def _http_error(error: HTTPException) -> Response:
    reason = error.description or error.name
    if isinstance(error, RequestEntityTooLarge):
        reason = f"the body is larger than {request.max_content_length} bytes"
    response = _json({"error": reason}, error.code or 500)
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            response.headers[name] = value  # 405 names the allowed methods
    return response


def _failed(error: Exception) -> Response:
    log.error("the model failed: %s", error, exc_info=error)
    return _json({"error": "the model failed on this input; the server's log says why"}, 500)
