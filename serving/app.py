"""The Flask application: every operation of the model server, JSON for every answer, refusals included."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from serving.answers import answer_error, json_answer, refusal
from serving.auth import KeyRing
from serving.doors import Route
from serving.doors.table import unknown
from serving.errors import Unauthorized
from serving.http import Answer, Request
from serving.openapi import document
from serving.page import CONTENT_SECURITY_POLICY, page
from serving.runtimes import default_signature
from serving.state import State

Render = Callable[[str], tuple[bytes, str]]  # an Accept header in, the metrics and their content type out
OPEN = frozenset({"/metrics"})  # besides the probes: what monitoring asks for without a key


def create_app(
    state: State,
    routes: Sequence[Route],
    *,
    keys: KeyRing | None = None,
    metrics: Render | None = None,
    health_route: str = "",
    max_body: int = 16 * 2**20,
) -> Flask:
    """Every route of the table, the probes, `/`, `/openapi.json` and `/metrics`; `max_body` is in bytes."""
    app = Flask("serving", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = max_body
    probes = state.probes(health_route)
    _require_key(app, keys, OPEN | probes.keys())
    for path, probe in probes.items():
        app.add_url_rule(path, path, _probe(probe))
    for route in routes:
        app.add_url_rule(
            route.path, f"{route.method} {route.path}", _operation(state, route), methods=[route.method]
        )
    _descriptions(app, state, routes, secured=keys is not None)
    if metrics is not None:
        _metrics(app, metrics)
    app.register_error_handler(404, _not_found(routes))
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, lambda error: _response(answer_error(error)))
    return app


def _require_key(app: Flask, keys: KeyRing | None, open_paths: frozenset[str]) -> None:
    if keys is None:
        return

    @app.before_request
    def check() -> None:
        if request.path not in open_paths and not keys.allows(_headers()):
            raise Unauthorized("the request lacks a valid API key")


def _probe(probe: Callable[[], Answer]) -> Callable[[], Response]:
    return lambda: _response(probe())


def _operation(state: State, route: Route) -> Callable[[], Response]:
    def view() -> Response:
        ready = state.require()
        asked = Request(request.method, request.path, _headers(), _body(), request.query_string.decode())
        if route.predict is None:
            assert route.inform is not None  # noqa: S101 - a route does one or the other
            return _response(route.inform(ready.served, asked))
        task = route.predict(ready.served, asked)
        return _response(task.write(ready.batcher.predict(task)))

    return view


def _descriptions(app: Flask, state: State, routes: Sequence[Route], *, secured: bool) -> None:
    @app.get("/")
    def describe() -> Response:
        served = state.require().served
        if request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html":
            html = Response(page(served, secured=secured), mimetype="text/html")
            html.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
            return html
        return _response(json_answer(about(state)))

    @app.get("/openapi.json")
    def openapi() -> Response:
        body = document(state.require().served, routes, secured=secured)
        return Response(body, mimetype="application/json")


def about(state: State) -> dict[str, Any]:
    """What the model is, where it comes from, and what its default signature takes and gives."""
    served = state.require().served
    signatures = served.model.signatures
    return {
        "name": served.name,
        "version": served.version,
        **served.about,
        "device": served.model.device,
        **default_signature(served.model).as_json(),
        "signatures": {name: signature.as_json() for name, signature in signatures.items()},
    }


def _metrics(app: Flask, render: Render) -> None:
    @app.get("/metrics")
    def metrics() -> Response:
        body, content_type = render(request.headers.get("Accept", ""))
        return Response(body, content_type=content_type)


def _headers() -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers}


def _body() -> bytes:
    """The request's body; raises RequestEntityTooLarge also where it came in chunks.

    Werkzeug cuts a chunked body off at the limit in silence; only reading on says that there was more.
    """
    body: bytes = request.stream.read()
    request.stream.read(1)
    return body


def _response(answer: Answer) -> Response:
    response = Response(answer.body, answer.status, content_type=answer.content_type)
    for name, value in answer.headers:
        response.headers[name] = value
    return response


def _not_found(routes: Sequence[Route]) -> Callable[[HTTPException], Response]:
    def answer(error: HTTPException) -> Response:
        refused = unknown(request.path, routes)
        return _http_error(error) if refused is None else _response(refusal(refused))

    return answer


def _http_error(error: HTTPException) -> Response:
    status = error.code or 500
    reason = error.description or error.name
    if isinstance(error, RequestEntityTooLarge):
        reason = f"the body is larger than {request.max_content_length} bytes"
    response = _response(json_answer({"error": reason}, status))
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            response.headers[name] = value  # 405 names the allowed methods
    return response
