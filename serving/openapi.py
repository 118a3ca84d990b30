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
from serving.doors import Route
from serving.http import JSON
from serving.schemas import Schema, obj
from serving.served import Served

BINARY = "application/octet-stream"
TEXT = "text/plain"
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
    404: ("NotFound", "No such model, version or signature"),
    408: ("TooSlow", "The body took too long to arrive"),
    413: ("TooLarge", "The body is larger than the server takes"),
    415: ("WrongMediaType", "The body is of a content type that is not read here"),
    422: ("NotRepresentable", "The model answered NaN or an infinity, which JSON cannot carry"),
    500: ("ModelFailed", "The model failed on this input; the server's log says why"),
    503: ("Busy", "The model is not loaded yet, the queue is full, or the server is stopping"),
}
ASKED_WRONGLY = (400, 404, 408, 413, 415, 422, 500, 503)


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
            "schemas": {"Error": ERROR, **protocols.schemas(served)},
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


ERROR: Schema = {
    **obj(
        {
            "error": {"type": "string", "minLength": 1, "description": "What is wrong, for people"},
            "field": {"type": "string", "minLength": 1, "description": "Where it is: instances[3].age"},
        },
        optional=["field"],
    ),
    "examples": [{"error": "is a string, expected a number", "field": "instances[0][1]"}],
}
SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
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
        paths.setdefault(quote(path, safe="/:@!$&'()*+,;=~%"), {})[method.lower()] = operation
    return paths


def _identifier(served: Served, method: str, path: str) -> str:
    """A name for generated clients, which stays when the model's name or version changes."""
    path = path.replace(f"/models/{quote(served.name)}", "/model").replace(
        f"/versions/{quote(served.version)}", "/version"
    )
    return "_".join(re.findall(r"[a-z0-9]+", f"{method} {path}".lower())) if path != "/" else "describe"


def _unique(name: str, names: set[str]) -> str:
    number = 2
    found = name
    while found in names:
        found, number = f"{name}_{number}", number + 1
    names.add(found)
    return found


def _routes(served: Served, routes: Sequence[Route]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for route in routes:
        predicts = route.predict is not None
        operation: dict[str, Any] = {"tags": [route.door], "summary": route.summary}
        if predicts:
            operation |= _prediction(served, route)
        else:
            answer = protocols.information(served, route)
            operation["responses"] = {"200": _json("What is known", answer), "503": _refusal(503)}
        yield route.method, route.path, operation


def _prediction(served: Served, route: Route) -> dict[str, Any]:
    request, answer = protocols.NAMES[route.door]
    body: dict[str, Any] = {JSON: {"schema": _schema(request)}}
    if examples := protocols.examples(served, route.door):
        body[JSON]["examples"] = {name: {"value": value} for name, value in examples.items()}
    response = _json("The model's answer", _schema(answer))
    binary = {}
    if route.door == "v2":
        body[BINARY] = {"schema": {}}
        response["content"][BINARY] = {"schema": {}}
        response["headers"] = {protocols.HEADER_LENGTH: protocols.LENGTH}
        binary = {"parameters": [{"name": protocols.HEADER_LENGTH, "in": "header", **protocols.LENGTH}]}
    return {
        **binary,
        "requestBody": {"required": True, "content": body},
        "responses": {"200": response, **{str(status): _refusal(status) for status in ASKED_WRONGLY}},
    }


def _own(*, secured: bool) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """What the server answers beside its doors; probes and metrics ask for no key."""
    opened: dict[str, Any] = {"security": []} if secured else {}
    status = _json(
        "Yes", {"type": "object", "required": ["status"], "properties": {"status": {"type": "string"}}}
    )
    for path, question in PROBES.items():
        answers = (
            {"200": status}
            if path in ("/healthz", "/v2/health/live")
            else {"200": status, "503": _refusal(503)}
        )
        yield "GET", path, {"tags": ["server"], "summary": question, "responses": answers, **opened}
    text = {
        "description": "In the text format of Prometheus",
        "content": {TEXT: {"schema": {"type": "string"}}},
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
