"""The document is valid OpenAPI, and says exactly what the model takes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from serving.doors.table import routes
from serving.http import Request
from serving.openapi import document
from serving.served import Served
from serving.signature import Signature, TensorSpec
from tests.serving.conftest import Doubler

PIXELS = TensorSpec("pixels", "float32", (None, 4))
SCORES = TensorSpec("scores", "float32", (None, 3))

ONE_INPUT = {"serving_default": Signature((PIXELS,), (SCORES,))}
TWO_INPUTS = {
    "serving_default": Signature(
        (TensorSpec("age", "int64", (None,)), TensorSpec("name", "string", (None, 2))),
        (SCORES, TensorSpec("label", "string", (None,))),
    )
}
SEVERAL_SIGNATURES = {**ONE_INPUT, "embed": Signature((TensorSpec("text", "string", (None,)),), (SCORES,))}


def of_type(dtype: str, *row: int | None, rows: int | None = None) -> dict[str, Signature]:
    return {"serving_default": Signature((TensorSpec("x", dtype, (rows, *row)),), (SCORES,))}


KINDS: Mapping[str, Mapping[str, Signature]] = {
    "one input": ONE_INPUT,
    "two inputs": TWO_INPUTS,
    "several signatures": SEVERAL_SIGNATURES,
    "strings": of_type("string", 2),
    "int64": of_type("int64"),
    "uint8": of_type("uint8", 2, 2),
    "bool": of_type("bool", 3),
    "bfloat16": of_type("bfloat16", 2),
    "float16": of_type("float16", 1),
    "free dimensions": of_type("float64", None, 3),
    "free rank": {"serving_default": Signature((TensorSpec("x", "float32", None),), (SCORES,))},
    "fixed rows": of_type("float32", 2, rows=3),
    "json": of_type("json"),
}

WITHOUT_EXAMPLES = {"json", "free rank"}


def served(signatures: Mapping[str, Signature], **about: str) -> Served:
    return Served("digits", "3", Doubler(signatures), 8, about)


ROUTES = routes("digits", "3", predict_route="/vertex")


def described(signatures: Mapping[str, Signature], *, secured: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(document(served(signatures), ROUTES, secured=secured))
    return found


def operations(document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}", operation


def takes(document: Mapping[str, Any], path: str, body: object) -> bool:
    """Does the schema of this operation's body allow the body?"""
    content = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    schema = {**content["schema"], "components": document["components"]}
    return Draft202012Validator(schema).is_valid(body)


@pytest.mark.parametrize("kind", KINDS)
def test_the_document_is_valid_openapi(kind: str) -> None:
    OpenAPIV31SpecValidator(described(KINDS[kind], secured=kind == "one input")).validate()


@pytest.mark.parametrize("kind", KINDS)
def test_every_schema_is_a_valid_schema(kind: str) -> None:
    for schema in described(KINDS[kind])["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - WITHOUT_EXAMPLES))
def test_every_prediction_has_an_example_that_fits_its_schema(kind: str) -> None:
    found = described(KINDS[kind])
    for name, operation in operations(found):
        if not name.startswith("POST"):
            continue
        examples = operation["requestBody"]["content"]["application/json"]["examples"]
        assert examples
        for example in examples.values():
            assert takes(found, name.removeprefix("POST "), example["value"]), (name, example)


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - WITHOUT_EXAMPLES))
def test_every_example_is_answered_in_the_form_that_the_document_promises(kind: str) -> None:
    found = described(KINDS[kind])
    for route in ROUTES:
        if route.predict is None:
            continue
        operation = found["paths"][route.path]["post"]
        answer = operation["responses"]["200"]["content"]["application/json"]["schema"]
        for example in operation["requestBody"]["content"]["application/json"]["examples"].values():
            task = route.predict(
                served(KINDS[kind]), Request("POST", route.path, {}, dumps(example["value"]))
            )
            written = task.write(zeros(KINDS[kind][task.signature], task.rows))
            schema = Draft202012Validator({**answer, "components": found["components"]})
            schema.validate(json.loads(written.body))


def zeros(signature: Signature, rows: int) -> dict[str, Any]:
    """What a model might answer: zeros, or text."""
    shapes = {spec: (rows, *(size or 1 for size in spec.row_shape or ())) for spec in signature.outputs}
    return {
        spec.name: np.full(shape, b"text", object) if spec.dtype == "string" else np.zeros(shape, spec.dtype)
        for spec, shape in shapes.items()
    }


def dumps(value: object) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    "signatures", [of_type("float32", 224, 224, 3), *map(KINDS.__getitem__, WITHOUT_EXAMPLES)]
)
def test_a_row_that_is_unknown_or_too_long_to_read_has_no_example(
    signatures: Mapping[str, Signature],
) -> None:
    content = described(signatures)["paths"]["/predict"]["post"]["requestBody"]["content"]
    assert "examples" not in content["application/json"]


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("one input", [1, 2, 3, 4.5], [1, 2, 3]),
        ("one input", [-3.4e38, 0, 0, 3.4e38], [0, 0, 0, 3.5e38]),
        ("one input", {"pixels": [1, 2, 3, 4]}, {"pixels": [1, 2, 3, 4], "age": 1}),
        ("two inputs", {"age": 2**63 - 1, "name": ["a", "b"]}, {"age": 2**63, "name": ["a", "b"]}),
        ("two inputs", {"age": 1.0, "name": ["a", "b"]}, {"age": 1.5, "name": ["a", "b"]}),
        ("strings", ["a", ""], ["a", 1]),
        ("int64", -(2**63), -(2**63) - 1),
        ("uint8", [[0, 1], [2, 255]], [[0, 1], [2, 256]]),
        ("bool", [True, False, True], [True, False, 1]),
        ("float16", [65519], [65520]),
        ("free dimensions", [[1, 2, 3], [4, 5, 6]], [[1, 2, 3], [4, 5]]),
        ("free dimensions", [[1, 2, 3]], []),
        ("free rank", [[[1]]], [[]]),
    ],
)
def test_a_row_is_described_by_shape_type_and_range(kind: str, good: object, bad: object) -> None:
    found = described(KINDS[kind])
    assert takes(found, "/predict", {"instances": [good]})
    if kind != "free rank":
        assert not takes(found, "/predict", {"instances": [good, bad]})


@pytest.mark.parametrize("rows", [0, 9])
def test_one_row_to_the_most_are_taken(rows: int) -> None:
    found = described(ONE_INPUT)
    assert takes(found, "/predict", {"data": [[1, 2, 3, 4]] * 8})
    assert not takes(found, "/predict", {"data": [[1, 2, 3, 4]] * rows})


def test_a_fixed_number_of_rows_is_the_only_one() -> None:
    found = described(KINDS["fixed rows"])
    assert takes(found, "/predict", {"instances": [[1, 2]] * 3})
    assert not takes(found, "/predict", {"instances": [[1, 2]] * 2})


def test_several_inputs_need_names() -> None:
    assert not takes(described(TWO_INPUTS), "/predict", {"instances": [[1, ["a", "b"]]]})


@pytest.mark.parametrize(
    ("body", "taken"),
    [
        ({"instances": [[1, 2, 3, 4]]}, True),
        ({"inputs": [[1, 2, 3, 4]]}, True),
        ({"inputs": {"pixels": [[1, 2, 3, 4]]}}, True),
        ({"signature_name": "serving_default", "instances": [[1, 2, 3, 4]]}, True),
        ({"signature_name": "embed", "instances": ["text", {"b64": "dGV4dA=="}]}, True),
        ({"signature_name": "embed", "inputs": {"text": ["text"]}}, True),
        ({"signature_name": "embed", "instances": [[1, 2, 3, 4]]}, False),
        ({"signature_name": "other", "instances": [[1, 2, 3, 4]]}, False),
        ({"instances": ["text"]}, False),
        ({"instances": [[1, 2, 3, 4]], "inputs": [[1, 2, 3, 4]]}, False),
        ({"signature_name": "", "instances": [[1, 2, 3, 4]], "parameters": {}}, True),
        ({"instances": [[1, 2, 3, 4]], "parameters": {"temperature": 1}}, False),
    ],
)
def test_tensorflow_servings_rows_and_columns_fit_their_signature(body: object, taken: bool) -> None:
    assert takes(described(SEVERAL_SIGNATURES), "/v1/models/digits:predict", body) == taken


@pytest.mark.parametrize(
    ("change", "taken"),
    [
        ({}, True),
        ({"data": [[1, 2, 3, 4], [5, 6, 7, 8]]}, True),
        ({"parameters": None}, True),
        ({"parameters": {"binary_data_size": 32}}, False),
        ({"datatype": "FP16"}, True),
        ({"datatype": "INT32"}, False),
        ({"datatype": "UINT8", "data": [256] * 8}, False),
        ({"name": "other"}, False),
        ({"datatype": "FP64"}, False),
        ({"shape": [2, 5]}, False),
        ({"shape": [2]}, False),
        ({"shape": [9, 4]}, False),
        ({"data": []}, False),
        ({"data": ["1"] * 8}, False),
    ],
)
def test_a_tensor_of_the_open_inference_protocol_is_described(change: dict[str, Any], taken: bool) -> None:
    tensor = {"name": "pixels", "datatype": "FP32", "shape": [2, 4], "data": [1, 2, 3, 4, 5, 6, 7, 8]}
    body = {"inputs": [tensor | change]}
    assert takes(described(ONE_INPUT), "/v2/models/digits/infer", body) == taken


@pytest.mark.parametrize(
    ("change", "taken"),
    [
        ({"id": "a", "model_name": "digits", "model_version": "3", "parameters": None}, True),
        ({"model_name": "other"}, False),
        ({"parameters": {"binary_data_output": True}}, True),
        ({"parameters": {"signature_name": "embed"}}, False),
        ({"outputs": []}, True),
        ({"outputs": [{"name": "scores", "parameters": {"binary_data": True}}]}, True),
        ({"outputs": [{"name": "scores"}, {"name": "scores"}]}, False),
        ({"outputs": [{"name": "label"}]}, False),
    ],
)
def test_a_request_of_the_open_inference_protocol_is_described(change: dict[str, Any], taken: bool) -> None:
    tensor = {"name": "pixels", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}
    assert (
        takes(described(SEVERAL_SIGNATURES), "/v2/models/digits/infer", {"inputs": [tensor]} | change)
        == taken
    )


def test_each_input_comes_once_in_the_open_inference_protocol() -> None:
    age = {"name": "age", "datatype": "INT64", "shape": [1], "data": [3]}
    name = {"name": "name", "datatype": "BYTES", "shape": [1, 2], "data": ["a", "b"]}
    found = described(TWO_INPUTS)
    assert takes(found, "/v2/models/digits/infer", {"inputs": [name, age]})
    assert not takes(found, "/v2/models/digits/infer", {"inputs": [age, age]})
    assert not takes(found, "/v2/models/digits/infer", {"inputs": [age]})


def test_operations_have_names_of_their_own_that_outlive_the_model() -> None:
    names = [operation["operationId"] for _, operation in operations(described(ONE_INPUT))]
    assert len(set(names)) == len(names)
    assert {
        "post_predict",
        "post_v1_model_predict",
        "post_v1_model_version_predict",
        "post_v2_model_infer",
    } <= {*names}


def test_the_document_names_the_model() -> None:
    of_model = served(ONE_INPUT, model_hash="sha256:abc", git_sha="def")
    info = json.loads(document(of_model, ROUTES, secured=False))["info"]
    assert (info["title"], info["version"]) == ("digits", "3")
    assert (info["x-model-hash"], info["x-git-sha"]) == ("sha256:abc", "def")


def test_the_same_model_gives_the_same_bytes() -> None:
    assert document(served(TWO_INPUTS), ROUTES, secured=True) == document(
        served(TWO_INPUTS), ROUTES, secured=True
    )


def test_only_probes_and_metrics_are_open_where_the_server_asks_for_a_key() -> None:
    found = described(ONE_INPUT, secured=True)
    assert {"bearer", "header"} <= {next(iter(each)) for each in found["security"]}
    opened = {name for name, operation in operations(found) if operation.get("security") == []}
    probes = ("healthz", "readyz", "startupz", "ping", "v2/health/live", "v2/health/ready", "metrics")
    assert opened == {f"GET /{path}" for path in probes}
    for name, operation in operations(found):
        assert ("401" in operation["responses"]) == (name not in opened)


def test_no_key_is_spoken_of_where_none_is_asked_for() -> None:
    assert b"401" not in document(served(ONE_INPUT), [], secured=False)
    assert "security" not in described(ONE_INPUT)
    assert "securitySchemes" not in described(ONE_INPUT)["components"]


def test_every_refusal_is_one_schema_of_a_reason_and_a_field() -> None:
    found = described(ONE_INPUT)
    for response in found["components"]["responses"].values():
        assert response["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Error"}
    error = Draft202012Validator(found["components"]["schemas"]["Error"])
    assert error.is_valid({"error": "has no rows", "field": "instances"})
    assert error.is_valid({"error": "the body is not JSON"})
    assert not error.is_valid({"field": "instances"})
    assert not error.is_valid({"error": "has no rows", "trace": "secret"})
