"""The Open Inference Protocol by its own examples and its clients' own classes.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

from __future__ import annotations

import struct
from typing import Any

import ml_dtypes
import numpy as np
import orjson
import pytest
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput

from serving.doors import v2
from serving.errors import BadRequest, NotRepresentable
from serving.http import Request
from serving.served import Served
from serving.tensors import Tensor, objects
from tests.serving.doors.models import ask, echo, person, serve, two_signatures

HEADER = "inference-header-content-length"
GET = Request("GET", "/")


def refusal(served: Served, body: Any, headers: dict[str, str] | None = None) -> tuple[str, str]:
    with pytest.raises((BadRequest, NotRepresentable)) as caught:
        ask(served, v2.infer, body, headers)
    return caught.value.field, caught.value.reason


def with_bytes(head: Any, *tails: bytes) -> tuple[bytes, dict[str, str]]:
    text = orjson.dumps(head)
    return b"".join((text, *tails)), {HEADER: str(len(text))}


def one(shape: list[int], datatype: str, data: Any, **more: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "x", "shape": shape, "datatype": datatype, "data": data}], **more}


def raw(shape: list[int], datatype: str, size: int, **more: Any) -> dict[str, Any]:
    parameters = {"binary_data_size": size}
    return {"inputs": [{"name": "x", "shape": shape, "datatype": datatype, "parameters": parameters}], **more}


# Recorded examples


def _documented(rows: int | None = None) -> Served:
    return serve(
        {"input0": ("uint32", (rows, 2)), "input1": ("bool", (None,))},
        {"output0": ("float32", (None, 2)), "output1": ("bool", (None,))},
        lambda input0, input1: {"output0": input0.astype(np.float32) + np.float32(0.1), "output1": input1},
        name="mymodel",
    )


DOCUMENTED_REQUEST = """{
  "id" : "42",
  "inputs" : [
    {
      "name" : "input0",
      "shape" : [ 2, 2 ],
      "datatype" : "UINT32",
      "data" : [ 1, 2, 3, 4 ]
    },
    {
      "name" : "input1",
      "shape" : [ %d ],
      "datatype" : "BOOL",
      "data" : [ %s ]
    }
  ],
  "outputs" : [
    {
      "name" : "output0"
    }
  ]
}"""


def test_the_documented_request_is_answered_with_the_output_that_it_asks_for() -> None:
    said, answer = ask(_documented(), v2.infer, DOCUMENTED_REQUEST % (2, "true, false"))
    assert said == {
        "model_name": "mymodel",
        "model_version": "1",
        "id": "42",
        "outputs": [
            {"name": "output0", "datatype": "FP32", "shape": [2, 2], "data": [1.1, 2.1, 3.1, 4.1]},
        ],
    }
    assert answer.content_type == "application/json"


def test_the_documented_request_to_the_letter_lacks_two_booleans() -> None:
    """Its input1 has three elements by its shape, one in its data, and two rows beside it."""
    assert refusal(_documented(), DOCUMENTED_REQUEST % (3, "true")) == (
        "inputs[1].data",
        "has 1 elements, expected 3",
    )


def test_the_documented_binary_request_is_read_and_answered_in_binary() -> None:
    head = {
        "model_name": "mymodel",
        "inputs": [
            {"name": "input0", "shape": [3, 2], "datatype": "UINT32", "parameters": {"binary_data_size": 24}},
            {"name": "input1", "shape": [3], "datatype": "BOOL", "parameters": {"binary_data_size": 3}},
        ],
        "outputs": [{"name": "output0", "parameters": {"binary_data": True}}],
    }
    body, headers = with_bytes(head, struct.pack("<6I", 1, 2, 3, 4, 5, 6), b"\1\0\1")
    said, answer = ask(_documented(), v2.infer, body, headers)
    assert said["outputs"] == [
        {"name": "output0", "datatype": "FP32", "shape": [3, 2], "parameters": {"binary_data_size": 24}}
    ]
    assert answer.content_type == "application/octet-stream"
    expected = np.array([1, 2, 3, 4, 5, 6], np.float32) + np.float32(0.1)
    assert answer.body.endswith(struct.pack("<6f", *expected))


def test_kserve_s_iris_is_answered_though_it_comes_in_a_smaller_type() -> None:
    """https://kserve.github.io/website/latest/modelserving/v1beta1/sklearn/v2/"""
    served = serve(
        {"input-0": ("float64", (None, 4))},
        {"output-0": ("int32", (None,))},
        lambda **inputs: {"output-0": (inputs["input-0"][:, 2] > 2).astype(np.int32)},
    )
    body = """{
      "inputs": [
        {
          "name": "input-0",
          "shape": [2, 4],
          "datatype": "FP32",
          "data": [
            [6.8, 2.8, 4.8, 1.4],
            [6.0, 3.4, 4.5, 1.6]
          ]
        }
      ]
    }"""
    said, _ = ask(served, v2.infer, body)
    assert said["outputs"] == [{"name": "output-0", "datatype": "INT32", "shape": [2], "data": [1, 1]}]


# Triton's client, both ways

NUMBERS = {
    "bool": "BOOL",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
}


def sample(dtype: str) -> Tensor:
    if dtype == "bool":
        return np.array([[True, False], [False, True]])
    if np.dtype(dtype).kind == "f":
        return np.array([[0.1, -2], [np.finfo(dtype).max, 0]], dtype)
    info = np.iinfo(dtype)
    return np.array([[info.min, 1], [2, info.max]], dtype)


def through_client(
    served: Served, tensor: Tensor, datatype: str, *, binary_in: bool, binary_out: bool | None
) -> Any:
    """Triton's client writes the request and reads the answer."""
    sent = InferInput("x", list(tensor.shape), datatype)
    sent.set_data_from_numpy(tensor, binary_data=binary_in)
    wanted = None if binary_out is None else [InferRequestedOutput("y", binary_data=binary_out)]
    body, length = InferenceServerClient.generate_request_body([sent], outputs=wanted, request_id="7")
    said, answer = ask(served, v2.infer, body, {} if length is None else {HEADER: str(length)})
    assert said["id"] == "7"
    told = dict(answer.headers).get("Inference-Header-Content-Length")
    assert (told is not None) == (binary_out is not False)
    result = InferenceServerClient.parse_response_body(
        answer.body, header_length=None if told is None else int(told)
    )
    return result.as_numpy("y")


@pytest.mark.parametrize("binary_out", [True, False, None])
@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize(("dtype", "datatype"), NUMBERS.items())
def test_triton_s_client_gets_back_every_number_that_it_sends(
    dtype: str, datatype: str, binary_in: bool, binary_out: bool | None
) -> None:
    tensor = sample(dtype)
    back = through_client(echo(dtype, 2), tensor, datatype, binary_in=binary_in, binary_out=binary_out)
    assert back.dtype == tensor.dtype
    assert np.array_equal(back, tensor)


@pytest.mark.parametrize("binary_out", [True, False, None])
@pytest.mark.parametrize("binary_in", [True, False])
def test_triton_s_client_gets_back_the_text_that_it_sends(binary_in: bool, binary_out: bool | None) -> None:
    tensor = np.array([["ä".encode(), b""], [b"b\0c", b"d"]], object)
    back = through_client(echo("string", 2), tensor, "BYTES", binary_in=binary_in, binary_out=binary_out)
    assert [value if isinstance(value, bytes) else value.encode() for value in back.reshape(-1)] == [
        "ä".encode(),
        b"",
        b"b\0c",
        b"d",
    ]


def test_triton_s_client_gets_back_the_bfloat16_that_it_sends() -> None:
    served = serve(
        {"x": ("bfloat16", (None, 2))},
        {"y": ("bfloat16", (None, 2))},
        lambda x: {"y": x.astype(ml_dtypes.bfloat16)},
    )
    exact = np.array([[1.5, -3e38], [float("nan"), float("inf")]], ml_dtypes.bfloat16)
    tensor = exact.astype(np.float32)  # the client cuts it off at the 16 bits that count
    back = through_client(served, tensor, "BF16", binary_in=True, binary_out=None)
    assert np.array_equal(back, tensor, equal_nan=True)


def test_what_json_cannot_carry_goes_in_binary() -> None:
    tensor = np.array([[np.nan, np.inf], [-np.inf, -0.0]], np.float32)
    assert (
        through_client(echo("float32", 2), tensor, "FP32", binary_in=True, binary_out=True).tobytes()
        == tensor.tobytes()
    )
    with pytest.raises(NotRepresentable) as caught:
        through_client(echo("float32", 2), tensor, "FP32", binary_in=True, binary_out=False)
    assert caught.value.field == "outputs[0].data[0]"


def test_bytes_that_are_no_text_go_in_binary_only() -> None:
    body, headers = with_bytes(raw([1], "BYTES", 5), b"\1\0\0\0\xff")
    assert refusal(echo("string"), body, headers) == (
        "y",
        'bytes that are no UTF-8 text: ask for the output as "binary_data"',
    )


# Without a copy


@pytest.mark.parametrize("padding", range(8))
def test_a_tensor_is_read_where_it_lies_in_the_body_aligned_or_not(padding: int) -> None:
    values = np.arange(6, dtype=np.float64)
    body, headers = with_bytes(raw([3, 2], "FP64", 48, id="i" * padding), values.tobytes())
    array = v2.infer(echo("float64", 2), Request("POST", "/", headers, body)).batch["x"]
    assert np.shares_memory(array, np.frombuffer(body, np.uint8))
    assert array.tolist() == [[0, 1], [2, 3], [4, 5]]


def test_a_smaller_type_is_widened() -> None:
    body, headers = with_bytes(raw([2], "INT16", 4), struct.pack("<2h", -3, 4))
    array = v2.infer(echo("float32"), Request("POST", "/", headers, body)).batch["x"]
    assert (array.dtype, array.tolist()) == (np.float32, [-3, 4])


# JSON values


def test_json_values_travel_as_their_texts() -> None:
    said, _ = ask(echo("json"), v2.infer, one([2], "BYTES", ['{"a": [1, null]}', '"b"']))
    assert said["outputs"][0]["data"] == ['{"a":[1,null]}', '"b"']
    assert said["outputs"][0]["datatype"] == "BYTES"


def test_a_text_that_is_no_json_is_refused() -> None:
    field, reason = refusal(echo("json"), one([2], "BYTES", ["1", "{"]))
    assert field == "inputs[0].data[1]"
    assert reason.startswith("is not JSON: ")


def test_nan_in_a_json_value_is_refused_in_binary_too() -> None:
    served = serve(
        {"x": ("float32", (None,))},
        {"y": ("json", (None,))},
        lambda x: {"y": objects([float("nan")] * len(x))},
    )
    with pytest.raises(NotRepresentable):
        ask(served, v2.infer, one([1], "FP32", [1], parameters={"binary_data_output": True}))


# What a request may choose


def test_data_may_be_nested_or_flat() -> None:
    served = echo("int64", 2, 2)
    for data in ([[[1, 2], [3, 4]]], [1, 2, 3, 4]):
        said, _ = ask(served, v2.infer, one([1, 2, 2], "INT64", data))
        assert said["outputs"][0]["data"] == [1, 2, 3, 4]


def test_integers_beyond_2_to_the_53_are_exact() -> None:
    _, answer = ask(
        echo("int64"),
        v2.infer,
        '{"inputs":[{"name":"x","shape":[1],"datatype":"INT64","data":[9007199254740993]}]}',
    )
    assert b'"data":[9007199254740993]' in answer.body


def test_a_parameter_chooses_the_signature() -> None:
    body = one([1, 2], "FP32", [1, 2], parameters={"signature_name": "negate"})
    assert ask(two_signatures(), v2.infer, body)[0]["outputs"][0]["data"] == [-1, -2]


def test_an_output_may_differ_from_the_others() -> None:
    body = {
        "inputs": [
            {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["a"]},
            {"name": "age", "shape": [1], "datatype": "INT64", "data": [1]},
        ],
        "parameters": {"binary_data_output": True},
        "outputs": [{"name": "loud", "parameters": {"binary_data": False}}, {"name": "older"}],
    }
    said, answer = ask(person(), v2.infer, body)
    assert said["outputs"] == [
        {"name": "loud", "datatype": "BYTES", "shape": [1, 2], "data": ["A", "!"]},
        {"name": "older", "datatype": "INT64", "shape": [1], "parameters": {"binary_data_size": 8}},
    ]
    assert answer.body.endswith(struct.pack("<q", 2))


@pytest.mark.parametrize("outputs", [None, []])
def test_all_outputs_are_answered_where_none_is_named(outputs: Any) -> None:
    body = {
        "inputs": [
            {"name": "age", "shape": [1], "datatype": "INT64", "data": [1]},
            {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["a"]},
        ],
        "outputs": outputs,
    }
    assert [output["name"] for output in ask(person(), v2.infer, body)[0]["outputs"]] == ["older", "loud"]


# What is refused


def fine(**more: Any) -> dict[str, Any]:
    """A request for a row of two numbers that nothing is wrong with, and what is `more` in it."""
    return one([1, 2], "FP32", [1, 2], **more)


SIZE = "inputs[0].parameters.binary_data_size"


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        ([], "", "the body is a list, expected an object"),
        ({}, "inputs", "is null, expected a list"),
        ({"inputs": []}, "inputs", "lacks the input 'x'"),
        ({"inputs": [1]}, "inputs[0]", "is a number, expected an object"),
        ({"inputs": [{}]}, "inputs[0].name", "is null, expected a string"),
        ({"inputs": [{"name": "z"}]}, "inputs[0].name", "unknown input 'z', the model has x"),
        ({"inputs": [{"name": "x", "datum": 1}]}, "inputs[0].datum", "unknown key 'datum'"),
        ({"inputs": [{"name": "x"}]}, "inputs[0].datatype", "is null, expected 'FP32'"),
        (one([1, 2], "FP64", [1, 2]), "inputs[0].datatype", "is 'FP64', expected 'FP32'"),
        (one([1, 2], "INT64", [1, 2]), "inputs[0].datatype", "is 'INT64', expected 'FP32'"),
        (one([1, 2], "BOOL", [True, False]), "inputs[0].datatype", "is 'BOOL', expected 'FP32'"),
        (one([1, 2], "BYTES", ["1", "2"]), "inputs[0].datatype", "is 'BYTES', expected 'FP32'"),
        (one([2], "FP32", [1, 2]), "inputs[0].shape", "has 1 sizes, expected 2"),
        (one([1, 3], "FP32", [1, 2, 3]), "inputs[0].shape[1]", "is 3, expected 2"),
        (one([0, 2], "FP32", []), "inputs[0].shape[0]", "is 0: there is nothing in the tensor"),
        (one([-1, 2], "FP32", []), "inputs[0].shape", "expected a list of sizes, whole numbers from 0"),
        (one([1.0, 2], "FP32", [1, 2]), "inputs[0].shape", "expected a list of sizes, whole numbers from 0"),
        (one([True, 2], "FP32", [1, 2]), "inputs[0].shape", "expected a list of sizes, whole numbers from 0"),
        (one([101, 2], "FP32", [1] * 202), "inputs[0].shape[0]", "is 101, at most 100 rows"),
        (
            one([2**64 - 1, 2], "FP32", [1, 2]),
            "inputs[0].shape[0]",
            "is 18446744073709551615, at most 100 rows",
        ),
        (one([2, 2], "FP32", [1, 2, 3]), "inputs[0].data", "has 3 elements, expected 4"),
        (one([2, 2], "FP32", [[1, 2]]), "inputs[0].data", "has 1 elements, expected 2"),
        (one([2, 2], "FP32", [[1, 2], [3]]), "inputs[0].data[1]", "has length 1, expected 2"),
        (one([1, 2], "FP32", [1, "2"]), "inputs[0].data[1]", "is a string, expected a number"),
        (one([1, 2], "FP32", [1, True]), "inputs[0].data[1]", "is a boolean, expected a number"),
        (one([1, 2], "FP32", [1, 1e39]), "inputs[0].data[1]", "is beyond the range of float32"),
        (one([1, 2], "FP32", 1), "inputs[0].data", "is a number, expected a list"),
        ({"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32"}]}, "inputs[0].data", "is missing"),
        ({"inputs": one([1, 2], "FP32", [1, 2])["inputs"] * 2}, "inputs[1].name", "'x' occurs twice"),
        (fine(id=7), "id", "is a number, expected a string"),
        (fine(model_name="o"), "model_name", "is 'o', but the path asks for 'm'"),
        (fine(model_version="2"), "model_version", "is '2', but the path asks for '1'"),
        (fine(parameters=1), "parameters", "is a number, expected an object"),
        (fine(parameters={"sequence_id": 1}), "parameters.sequence_id", "unknown key 'sequence_id'"),
        (
            fine(parameters={"binary_data_output": 1}),
            "parameters.binary_data_output",
            "is a number, expected true or false",
        ),
        (fine(parameters={"signature_name": "z"}), "parameters.signature_name", "unknown signature 'z'"),
        (fine(outputs=[{"name": "z"}]), "outputs[0].name", "unknown output 'z', the model has y"),
        (fine(outputs=[{"name": "y"}] * 2), "outputs[1].name", "'y' occurs twice"),
        (
            fine(outputs=[{"name": "y", "parameters": {"classification": 3}}]),
            "outputs[0].parameters.classification",
            "unknown key 'classification'",
        ),
        (fine(outputs={}), "outputs", "is an object, expected a list"),
        (raw([1, 2], "FP32", 8), SIZE, "is 8, but 0 bytes are left in the body"),
        (
            raw([1, 2], "FP32", 8) | {"inputs": [raw([1, 2], "FP32", 8)["inputs"][0] | {"data": [1, 2]}]},
            "inputs[0].data",
            "comes along with binary_data_size",
        ),
        (
            '{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,NaN]}]}',
            "inputs[0].data[1]",
            "is NaN",
        ),
    ],
)
def test_a_wrong_request_is_refused_with_its_field(body: Any, field: str, reason: str) -> None:
    said = refusal(echo("float32", 2), body)
    assert said[0] == field
    assert said[1].startswith(reason)


@pytest.mark.parametrize(
    ("head", "tail", "field", "reason"),
    [
        (raw([1, 2], "FP32", 7), bytes(7), SIZE, "is 7, but 2 elements of FP32 have 8"),
        (raw([1, 2], "FP32", 8), bytes(7), SIZE, "is 8, but 7 bytes are left in the body"),
        (raw([1, 2], "FP32", 8), bytes(9), "inputs", "1 bytes of the body belong to no input"),
        (raw([1, 2], "FP32", -8), bytes(8), SIZE, "is no number of bytes"),
        (raw([1, 2], "FP32", 2**63), bytes(8), SIZE, "is 9223372036854775808, but 2 elements of FP32 have 8"),
        (raw([1, 2], "FP32", 8.0), bytes(8), SIZE, "is no number of bytes"),  # type: ignore[arg-type]
        (raw([1, 2], "FP32", True), bytes(8), SIZE, "is no number of bytes"),
    ],
)
def test_a_size_that_lies_is_refused(head: Any, tail: bytes, field: str, reason: str) -> None:
    body, headers = with_bytes(head, tail)
    assert refusal(echo("float32", 2), body, headers) == (field, reason)


@pytest.mark.parametrize(
    "shape", [[1, 2**32, 2**32], [1, 2**62, 4], [1, 2**63, 2], [1, 2**64 - 1, 2**64 - 1]]
)
def test_sizes_whose_product_overflows_64_bits_do_not_fit_a_small_body(shape: list[int]) -> None:
    body, headers = with_bytes(raw(shape, "FP32", 0))
    field, reason = refusal(echo("float32", None, None), body, headers)
    assert field == SIZE
    assert reason.startswith("is 0, but ")


@pytest.mark.parametrize(
    ("tail", "reason"),
    [
        (b"\2\0\0\0a", "is 5, too few for 2 elements with their lengths"),
        (b"\2\0\0\0abc\0", "element 1 lacks its length"),
        (b"\xff\xff\xff\xffabcd", "element 0 has 4294967295 bytes, but 4 are left"),
        (b"\0\0\0\0\0\0\0\0\0", "1 bytes are left behind element 1"),
        (b"\0\0\0\0\2\0\0\0a", "element 1 has 2 bytes, but 1 are left"),
    ],
)
def test_lengths_of_bytes_that_lie_are_refused(tail: bytes, reason: str) -> None:
    body, headers = with_bytes(raw([2], "BYTES", len(tail)), tail)
    assert refusal(echo("string"), body, headers) == (SIZE, reason)


def test_a_boolean_of_two_is_refused() -> None:
    body, headers = with_bytes(raw([3], "BOOL", 3), b"\0\1\2")
    assert refusal(echo("bool"), body, headers) == (SIZE, "element 2 is 2, a BOOL is 0 or 1")


@pytest.mark.parametrize("number", ["INT64", "UINT64"])
def test_integers_of_64_bits_do_not_become_floats(number: str) -> None:
    assert refusal(echo("float64"), one([1], number, [1])) == (
        "inputs[0].datatype",
        f"is '{number}', expected 'FP64'",
    )


@pytest.mark.parametrize(
    ("length", "reason"),
    [
        ("-1", "is '-1', expected a number of bytes"),
        ("x", "is 'x', expected a number of bytes"),
        ("", "is '', expected a number of bytes"),
        ("²", "is '²', expected a number of bytes"),
        ("3", "is more than the 2 bytes of the body"),
        ("9" * 5000, "is more than the 2 bytes of the body"),
    ],
)
def test_a_header_that_lies_about_the_json_is_refused(length: str, reason: str) -> None:
    assert refusal(echo("float32"), "{}", {HEADER: length}) == (HEADER, reason)


def test_inputs_that_disagree_about_the_rows_are_refused() -> None:
    body = {
        "inputs": [
            {"name": "text", "shape": [2], "datatype": "BYTES", "data": ["a", "b"]},
            {"name": "age", "shape": [1], "datatype": "INT64", "data": [1]},
        ]
    }
    assert refusal(person(), body) == ("inputs[1].shape", "has 1 rows, but inputs[0].shape has 2")


def test_a_free_rank_takes_any_shape_that_numpy_has() -> None:
    served = serve({"x": ("float32", None)}, {"y": ("float32", None)}, lambda x: {"y": x})
    assert ask(served, v2.infer, one([1, 2, 1], "FP32", [1, 2]))[0]["outputs"][0]["shape"] == [1, 2, 1]
    assert refusal(served, one([], "FP32", [])) == ("inputs[0].shape", "has 0 sizes, expected 1 to 32")
    assert refusal(served, one([1] * 33, "FP32", [1])) == (
        "inputs[0].shape",
        "has 33 sizes, expected 1 to 32",
    )


# What GET tells


def told(served: Served, inform: Any) -> Any:
    return orjson.loads(inform(served, GET).body)


def test_the_server_names_itself_and_its_extension() -> None:
    assert told(person(), v2.server) == {
        "name": "ml-containerize",
        "version": "e1",
        "extensions": ["binary_tensor_data"],
    }


def test_the_model_tells_what_it_takes_and_gives() -> None:
    assert told(person(), v2.model) == {
        "name": "m",
        "versions": ["1"],
        "platform": "keras",
        "inputs": [
            {"name": "age", "datatype": "INT64", "shape": [-1]},
            {"name": "text", "datatype": "BYTES", "shape": [-1]},
        ],
        "outputs": [
            {"name": "older", "datatype": "INT64", "shape": [-1]},
            {"name": "loud", "datatype": "BYTES", "shape": [-1, 2]},
        ],
    }


def test_a_model_that_is_asked_is_ready() -> None:
    assert told(person(), v2.ready) == {"name": "m", "ready": True}
