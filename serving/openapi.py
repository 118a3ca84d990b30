"""The server's description of itself: an OpenAPI 3.1 document made from the model's signatures.

https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import orjson

from serving import protocols
from serving.doors import Inform, Route, v1, v2
from serving.doors.media import BYTES, CSV
from serving.http import JSON
from serving.schemas import Schema
from serving.served import Served

TEXTS = ("text/plain", "application/openmetrics-text")  # Prometheus' own formats
ALIVE = ("/healthz", "/v2/health/live")  # without regard to the model
STATUS: Schema = {"type": "object", "required": ["status"], "properties": {"status": {"type": "string"}}}
HEADER_LENGTH = "Inference-Header-Content-Length"
DOORS = {
    "predict": "This server's own protocol",
    "v1": "TensorFlow Serving's REST API, and KServe's V1 protocol",
    "v2": "The Open Inference Protocol, KServe's V2",
    "sagemaker": "Amazon SageMaker's container contract",
    "vertex": "Vertex AI's container contract",
    "server": "The server itself",
}
PROBES = {
    "/healthz": "Is the process alive?",
    "/startupz": "Is the model loaded?",
    "/readyz": "Are requests welcome?",
    "/v2/health/live": "Is the process alive? (Open Inference Protocol)",
    "/v2/health/ready": "Are requests welcome? (Open Inference Protocol)",
    "/ping": "Are requests welcome? (SageMaker)",
}
REFUSALS = {
    400: ("BadRequest", "The body is not a batch that the model takes"),
    401: ("Unauthorized", "The request lacks the key that the server asks for"),
    408: ("TooSlow", "The body took too long to arrive"),
    413: ("TooLarge", "The body is larger than the server takes"),
    415: ("WrongMediaType", "The body is of a content type that is not read here"),
    422: ("NotRepresentable", "The model answered NaN or an infinity, which JSON cannot carry"),
    500: ("ModelFailed", "The model failed on this input; the server's log says why"),
    503: ("Busy", "The model is not loaded yet, the queue is full, or the server is stopping"),
}
MESSAGES = {  # what a door reads and writes, among the document's schemas
    "predict": ("Rows", "Predictions"),
    "sagemaker": ("Rows", "Predictions"),
    "vertex": ("VertexRows", "Predictions"),
    "v1": ("V1Request", "V1Answer"),
    "v2": ("V2Request", "V2Answer"),
}
OTHER_TYPES = {"sagemaker": (CSV,), "v2": (BYTES,)}  # besides JSON
KNOWN: Mapping[Inform, list[str]] = {  # what an answer tells at least
    v1.models: ["models"],
    v1.status: ["name", "ready", "model_version_status"],
    v1.metadata: ["model_spec", "metadata"],
    v2.server: ["name", "version", "extensions"],
    v2.model: ["name", "versions", "platform", "inputs", "outputs"],
    v2.ready: ["name", "ready"],
}
ASKED_WRONGLY = (400, 408, 413, 415, 422, 500, 503)


def document(served: Served, routes: Sequence[Route], *, secured: bool) -> bytes:
    """Describe every operation in JSON, the same bytes for the same arguments.

    `secured` says that all but the probes and metrics ask for a key.
    """
    return orjson.dumps(_document(served, routes, secured=secured), option=orjson.OPT_APPEND_NEWLINE)


def _document(served: Served, routes: Sequence[Route], *, secured: bool) -> dict[str, Any]:
    used = {route.door for route in routes} | {"server"}
    keys: list[Schema] = [{name: []} for name in SECURITY_SCHEMES]
    return {
        "openapi": "3.1.0",
        "info": _info(served),
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in DOORS.items() if name in used],
        "paths": _paths(served, routes, secured=secured),
        "components": {
            "schemas": protocols.schemas(served),
            "responses": _refusals(),
            **({"securitySchemes": SECURITY_SCHEMES} if secured else {}),
        },
        **({"security": keys} if secured else {}),
    }


def _info(served: Served) -> dict[str, Any]:
    return {
        "title": served.name,
        "version": served.version,
        "description": f"Predictions of the model {served.name}, computed on {served.model.device}.",
        **{f"x-{name.replace('_', '-')}": value for name, value in served.about.items()},
    }


SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "browser": {"type": "http", "scheme": "basic", "description": "The key as the password of any user"},
}


def _refusals() -> dict[str, Any]:
    error = {JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {
        name: {
            "description": text,
            **({"headers": {"Retry-After": RETRY_AFTER}} if status == 503 else {}),
            "content": error,
        }
        for status, (name, text) in REFUSALS.items()
    }


RETRY_AFTER = {"description": "Seconds until it is worth another try", "schema": {"type": "integer"}}


def _paths(served: Served, routes: Sequence[Route], *, secured: bool) -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = {}
    names: set[str] = set()
    for method, path, operation in (*_routes(served, routes), *_own(secured=secured)):
        operation["operationId"] = _unique(_identifier(served, method, path), names)
        if secured and "security" not in operation:
            operation["responses"]["401"] = _refusal(401)
        paths.setdefault(quote(path, safe="/:@!$&'()*+,;=~"), {})[method.lower()] = operation
    return paths


def _identifier(served: Served, method: str, path: str) -> str:
    """A name for generated clients, which stays when the model's name or version changes."""
    path = path.replace(f"/models/{served.name}", "/model").replace(f"/versions/{served.version}", "/version")
    return "_".join(re.findall(r"[a-z0-9]+", f"{method} {path}".lower()))


def _unique(name: str, names: set[str]) -> str:
    number = 2
    found = name
    while found in names:
        found, number = f"{name}_{number}", number + 1
    names.add(found)
    return found


def _routes(served: Served, routes: Sequence[Route]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for route in routes:
        operation = _information(route) if route.predict is None else _prediction(served, route.door)
        yield route.method, route.path, {"tags": [route.door], "summary": route.summary, **operation}


def _information(route: Route) -> dict[str, Any]:
    assert route.inform is not None  # noqa: S101 - a route does one or the other
    answer = {"type": "object", "required": KNOWN[route.inform]}
    return {"responses": {"200": _json("What is asked for", answer), "503": _refusal(503)}}


def _prediction(served: Served, door: str) -> dict[str, Any]:
    request, answer = MESSAGES[door]
    examples = {name: {"value": value} for name, value in protocols.examples(served, door).items()}
    body = {JSON: {"schema": _schema(request), **({"examples": examples} if examples else {})}}
    response = _json("The model's answer", _schema(answer))
    operation: dict[str, Any] = {
        "requestBody": {"required": True, "content": body},
        "responses": {"200": response, **{str(status): _refusal(status) for status in ASKED_WRONGLY}},
    }
    for content_type in OTHER_TYPES.get(door, ()):
        body[content_type] = response["content"][content_type] = {"schema": {"type": "string"}}
    if door == "v2":
        length = {
            "description": "Bytes of JSON before the binary tensors",
            "schema": {"type": "integer", "minimum": 0},
        }
        operation["parameters"] = [{"name": HEADER_LENGTH, "in": "header", **length}]
        response["headers"] = {HEADER_LENGTH: length}
    return operation


def _own(*, secured: bool) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """What the server answers beside its doors; probes and metrics ask for no key."""
    opened: dict[str, Any] = {"security": []} if secured else {}
    for path, question in PROBES.items():
        no = {} if path in ALIVE else {"503": _refusal(503)}
        yield "GET", path, _reading(question, {"200": _json("Yes", STATUS), **no}) | opened
    text = {
        "description": "For Prometheus",
        "content": {each: {"schema": {"type": "string"}} for each in TEXTS},
    }
    yield "GET", "/metrics", _reading("Metrics", {"200": text}) | opened
    described = _json("The model, or the page for a browser", {"type": "object"})
    described["content"]["text/html"] = {"schema": {"type": "string"}}
    yield "GET", "/", _reading("The model and its signatures", {"200": described, "503": _refusal(503)})
    itself = _json("An OpenAPI 3.1 document", {"type": "object", "required": ["openapi", "info", "paths"]})
    yield "GET", "/openapi.json", _reading("This document", {"200": itself, "503": _refusal(503)})


def _reading(summary: str, responses: Mapping[str, Any]) -> dict[str, Any]:
    return {"tags": ["server"], "summary": summary, "responses": dict(responses)}


def _json(description: str, schema: Schema) -> dict[str, Any]:
    return {"description": description, "content": {JSON: {"schema": schema}}}


def _schema(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _refusal(status: int) -> dict[str, str]:
    return {"$ref": f"#/components/responses/{REFUSALS[status][0]}"}
