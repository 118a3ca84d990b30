"""Every operation of every door at its path, for one model of one version."""

from __future__ import annotations

import re
from collections.abc import Sequence

from serving.doors import Route, rows, sagemaker, v1, v2
from serving.errors import NotFound

_MODEL = re.compile(
    r"/(?:v1|v2)/models/(?P<name>[^/:]+)"
    r"(?:/versions/(?P<version>[^/:]+)|/labels/(?P<label>[^/:]+))?(?P<rest>[/:].*)?"
)


def routes(name: str, version: str, *, predict_route: str = "", health_route: str = "") -> tuple[Route, ...]:
    """The table; `predict_route` and `health_route` are Vertex AI's, "" elsewhere.

    A `predict_route` that already predicts stays what it is; at `health_route`, the probe answers alone.
    """
    table = (
        Route("POST", "/predict", "predict", "Predictions for rows", predict=rows.predict),
        Route(
            "POST",
            "/invocations",
            "sagemaker",
            "Predictions for rows, JSON or CSV",
            predict=sagemaker.predict,
        ),
        *_v1(f"/v1/models/{name}", version),
        *_v2(f"/v2/models/{name}", version),
    )
    if predict_route and predict_route not in {route.path for route in table if route.predict}:
        summary = "Predictions for instances"
        table += (Route("POST", predict_route, "vertex", summary, predict=rows.predict_vertex),)
    return tuple(route for route in table if (route.method, route.path) != ("GET", health_route))


def _v1(model: str, version: str) -> tuple[Route, ...]:
    one = f"{model}/versions/{version}"
    predictions = "Predictions for rows or columns"
    return (
        Route("GET", "/v1/models", "v1", "The models that are served", inform=v1.models),
        Route("GET", model, "v1", "The model's status", inform=v1.status),
        Route("GET", one, "v1", "The version's status", inform=v1.status),
        Route("GET", f"{model}/metadata", "v1", "The model's signatures", inform=v1.metadata),
        Route("GET", f"{one}/metadata", "v1", "The version's signatures", inform=v1.metadata),
        Route("POST", f"{model}:predict", "v1", predictions, predict=v1.predict),
        Route("POST", f"{one}:predict", "v1", predictions, predict=v1.predict),
    )


def _v2(model: str, version: str) -> tuple[Route, ...]:
    one = f"{model}/versions/{version}"
    return (
        Route("GET", "/v2", "v2", "The server and its extensions", inform=v2.server),
        Route("GET", model, "v2", "What the model takes and gives", inform=v2.model),
        Route("GET", one, "v2", "What the version takes and gives", inform=v2.model),
        Route("GET", f"{model}/ready", "v2", "Is the model ready?", inform=v2.ready),
        Route("GET", f"{one}/ready", "v2", "Is the version ready?", inform=v2.ready),
        Route("POST", f"{model}/infer", "v2", "Outputs for input tensors", predict=v2.infer),
        Route("POST", f"{one}/infer", "v2", "Outputs for input tensors", predict=v2.infer),
    )


def unknown(path: str, table: Sequence[Route] = ()) -> NotFound | None:
    """Why a path of V1 or V2 is not in the table; None for a path that no door knows."""
    found = _MODEL.fullmatch(path)
    if found is None:
        return None
    name, version = _served(table)
    if found["name"] != name:
        return NotFound(f"unknown model {found['name'][:100]!r}{_has(name)}", "model")
    if found["label"]:
        return NotFound(f"unknown label {found['label'][:100]!r}, versions have no labels here", "label")
    if found["version"] and found["version"] != version:
        return NotFound(f"unknown version {found['version'][:100]!r}{_has(version)}", "version")
    return NotFound(f"unknown operation {(found['rest'] or '')[:100]!r} of the model {name!r}", "path")


def _has(name: str) -> str:
    return f", this server has {name!r}" if name else ""


def _served(table: Sequence[Route]) -> tuple[str, str]:
    for route in table:
        found = _MODEL.fullmatch(route.path)
        if found and found["version"]:
            return found["name"], found["version"]
    return "", ""
