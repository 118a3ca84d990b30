from __future__ import annotations

import pytest

from serving.doors.table import routes, unknown

TABLE = routes("digits", "3")

PATHS = """
POST /predict predict
POST /invocations sagemaker
GET /v1/models v1
GET /v1/models/digits v1
GET /v1/models/digits/versions/3 v1
GET /v1/models/digits/metadata v1
GET /v1/models/digits/versions/3/metadata v1
POST /v1/models/digits:predict v1
POST /v1/models/digits/versions/3:predict v1
GET /v2 v2
GET /v2/models/digits v2
GET /v2/models/digits/versions/3 v2
GET /v2/models/digits/ready v2
GET /v2/models/digits/versions/3/ready v2
POST /v2/models/digits/infer v2
POST /v2/models/digits/versions/3/infer v2
"""


def test_every_operation_has_its_exact_path() -> None:
    assert [f"{route.method} {route.path} {route.door}" for route in TABLE] == PATHS.strip().splitlines()


@pytest.mark.parametrize("route", TABLE, ids=lambda route: f"{route.method} {route.path}")
def test_an_operation_predicts_or_informs(route: object) -> None:
    predict, inform = getattr(route, "predict", None), getattr(route, "inform", None)
    assert (predict is None) != (inform is None)
    assert (getattr(route, "method", "") == "POST") == (predict is not None)


def test_vertex_predicts_at_the_route_that_it_names() -> None:
    (route,) = set(routes("digits", "3", predict_route="/v1/endpoints/1/deployedModels/2:predict")) - set(
        TABLE
    )
    assert (route.method, route.door) == ("POST", "vertex")


@pytest.mark.parametrize("path", ["/predict", "/v1/models/digits:predict"])
def test_a_route_of_vertex_that_predicts_anyway_stays_what_it_is(path: str) -> None:
    assert routes("digits", "3", predict_route=path) == TABLE


def test_the_probe_answers_alone_at_vertex_s_health_route() -> None:
    left = set(TABLE) - set(routes("digits", "3", health_route="/v1/models/digits"))
    assert [(route.method, route.path) for route in left] == [("GET", "/v1/models/digits")]


@pytest.mark.parametrize(
    ("path", "field", "reason"),
    [
        ("/v1/models/x:predict", "model", "unknown model 'x', this server has 'digits'"),
        ("/v1/models/x", "model", "unknown model 'x', this server has 'digits'"),
        ("/v1/models/x/versions/3:predict", "model", "unknown model 'x', this server has 'digits'"),
        ("/v2/models/x/infer", "model", "unknown model 'x', this server has 'digits'"),
        ("/v1/models/digits/versions/4:predict", "version", "unknown version '4', this server has '3'"),
        ("/v2/models/digits/versions/4/infer", "version", "unknown version '4', this server has '3'"),
        (
            "/v1/models/digits/labels/stable:predict",
            "label",
            "unknown label 'stable', versions have no labels here",
        ),
        ("/v1/models/digits/labels/stable", "label", "unknown label 'stable', versions have no labels here"),
        ("/v1/models/digits:classify", "path", "unknown operation ':classify' of the model 'digits'"),
        ("/v2/models/digits/config", "path", "unknown operation '/config' of the model 'digits'"),
    ],
)
def test_a_path_that_is_not_there_is_refused_with_what_is(path: str, field: str, reason: str) -> None:
    refused = unknown(path, TABLE)
    assert refused is not None
    assert (refused.status, refused.field, refused.reason) == (404, field, reason)


def test_a_model_is_unknown_also_to_who_does_not_know_the_table() -> None:
    refused = unknown("/v1/models/" + "x" * 1000)
    assert refused is not None
    assert refused.reason == f"unknown model '{'x' * 100}'"


@pytest.mark.parametrize("path", ["/", "/favicon.ico", "/v1", "/v3/models/x", "/v1/models/"])
def test_other_paths_are_no_door_s_business(path: str) -> None:
    assert unknown(path, TABLE) is None
