from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.errors import BadRequest
from serving.inputs import parse_batch, rows_batch
from serving.signature import Signature, TensorSpec

PAIRS = Signature((TensorSpec("pairs", "float32", (None, 2)),), (TensorSpec("out", "float32", (None, 1)),))
TWO = Signature(
    (TensorSpec("age", "int64", (None, 1)), TensorSpec("text", "string", (None,))),
    (TensorSpec("out", "float32", (None, 1)),),
)


def refusal(body: str | bytes | dict[str, Any], signature: Signature = PAIRS) -> tuple[str, str]:
    if isinstance(body, dict):
        body = json.dumps(body)
    with pytest.raises(BadRequest) as caught:
        parse_batch(body.encode() if isinstance(body, str) else body, signature, max_rows=100)
    return caught.value.field, caught.value.reason


def spec(dtype: str, *shape: int | None) -> Signature:
    return Signature((TensorSpec("x", dtype, shape),), PAIRS.outputs)


@pytest.mark.parametrize("key", ["instances", "data"])
def test_rows_under_either_key_become_one_array(key: str) -> None:
    batch = parse_batch(json.dumps({key: [[1, 2.5], [3, 4]]}).encode(), PAIRS, 100)
    assert batch["pairs"].dtype == np.float32
    assert batch["pairs"].tolist() == [[1, 2.5], [3, 4]]


def test_rows_of_several_inputs_are_objects_keyed_by_input_name() -> None:
    body = {"instances": [{"age": [7], "text": "ä"}, {"text": "", "age": [8]}]}
    batch = parse_batch(json.dumps(body).encode(), TWO, 100)
    assert batch["age"].tolist() == [[7], [8]]
    assert batch["text"].tolist() == ["ä".encode(), b""]


def test_a_single_input_may_be_named_too() -> None:
    assert parse_batch(b'{"data": [{"pairs": [1, 2]}]}', PAIRS, 100)["pairs"].tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", "the body is empty"),
        (
            "pixels=1",
            "the body is not JSON: unexpected character, expected a JSON value: line 1 column 1 (char 0)",
        ),
        ('{"data": [[1, 2]', "the body is not JSON: unexpected end of data: line 1 column 17 (char 16)"),
        (b'{"data": "\xff"}', "the body is not UTF-8 (byte 10)"),
        ("[[1, 2]]", "the body is a list, expected an object"),
        ("null", "the body is null, expected an object"),
        ("[" * 100_000, "the body is not JSON: depth limit exceeded: line 1 column 1026 (char 1025)"),
        (
            '{"data": ' + "[" * 100_000 + "]" * 100_000 + "}",
            "the body is not JSON: depth limit exceeded: line 1 column 1034 (char 1033)",
        ),
        (
            '{"data": [' + "9" * 5000 + "]}",
            "the body is not JSON: number is infinity when parsed as double: line 1 column 11 (char 10)",
        ),
    ],
)
def test_a_body_that_is_no_batch_is_refused_with_the_reason(body: str | bytes, reason: str) -> None:
    assert refusal(body) == ("", reason)


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        ('{"inputs": [[1, 2]]}', "inputs", "unknown key 'inputs', expected 'instances' or 'data'"),
        ('{"data": [[1, 2]], "x": 1}', "x", "unknown key 'x', expected 'instances' or 'data'"),
        ("{}", "instances", "the body has neither 'instances' nor 'data'"),
        ('{"data": [], "instances": []}', "data", "the body has both 'instances' and 'data', send one"),
        ('{"data": 5}', "data", "is a number, expected a list of rows"),
        ('{"data": {"a": 1}}', "data", "is an object, expected a list of rows"),
        ('{"data": []}', "data", "has no rows"),
        (
            '{"data": [1, 2]}',
            "data",
            "is one row, expected a list of rows: put it into one more pair of brackets",
        ),
        ('{"data": [[1, 2], 3]}', "data[1]", "is a number, expected a list of 2"),
        ('{"data": [[1, 2], null]}', "data[1]", "is null, expected a list of 2"),
        ('{"data": [[1, 2], [1, 2, 3]]}', "data[1]", "has length 3, expected 2"),
        ('{"instances": [[1, 2], [1, [2]]]}', "instances[1][1]", "is a list, expected a number"),
        ('{"instances": [[1, "2"]]}', "instances[0][1]", "is a string, expected a number"),
        ('{"instances": [[true, 2]]}', "instances[0][0]", "is a boolean, expected a number"),
        ('{"instances": [[1, null]]}', "instances[0][1]", "is null, expected a number"),
        ('{"instances": [[1, {}]]}', "instances[0][1]", "is an object, expected a number"),
        ('{"instances": [[1, 2], [NaN, 2]]}', "instances[1][0]", "is NaN, which is no number"),
        ('{"instances": [[1, Infinity]]}', "instances[0][1]", "is beyond the range of float32"),
        ('{"instances": [[1, -1e999]]}', "instances[0][1]", "is beyond the range of float32"),
        ('{"instances": [[1, 1e39]]}', "instances[0][1]", "is beyond the range of float32"),
        ('{"instances": [[1, 1' + "0" * 400 + "]]}", "instances[0][1]", "is beyond the range of float32"),
        (
            '{"data": [{"pairs": [1, 2]}, [1, 2]]}',
            "data[1]",
            "is a list, expected an object with the inputs pairs",
        ),
        ('{"data": [{}]}', "data[0]", "lacks the input 'pairs'"),
        ('{"data": [{"pairs": [1, 2], "y": 1}]}', "data[0].y", "unknown input 'y', the model has pairs"),
        ('{"data": [{"pairs": [1]}]}', "data[0].pairs", "has length 1, expected 2"),
        ('{"data": [{"pairs": [1, "a"]}]}', "data[0].pairs[1]", "is a string, expected a number"),
    ],
)
def test_a_wrong_value_is_refused_with_its_field(body: str, field: str, reason: str) -> None:
    assert refusal(body) == (field, reason)


@pytest.mark.parametrize(
    ("dtype", "value", "reason"),
    [
        ("int8", "128", "is beyond the range of int8, -128 to 127"),
        ("uint8", "-1", "is beyond the range of uint8, 0 to 255"),
        (
            "int64",
            "9223372036854775808",
            "is beyond the range of int64, -9223372036854775808 to 9223372036854775807",
        ),
        ("int32", "1.5", "is 1.5, expected an integer"),
        ("int32", "1e999", "is inf, expected an integer"),
        (
            "int64",
            "9007199254740992.0",
            "is 9007199254740992.0, which may have been rounded, expected an integer",
        ),
        (
            "int64",
            "-9223372036854775809",
            "is -9.223372036854776e+18, which may have been rounded, expected an integer",
        ),
        (
            "uint64",
            "18446744073709551616",
            "is 1.8446744073709552e+19, which may have been rounded, expected an integer",
        ),
        ("int32", "NaN", "is NaN, which is no number, expected an integer"),
        ("int32", "true", "is a boolean, expected an integer"),
        ("bool", "1", "is a number, expected true or false"),
        ("string", "1", "is a number, expected a string"),
        ("string", r'"\ud800"', "has half of a surrogate pair"),
        ("float16", "65520", "is beyond the range of float16"),
        ("bfloat16", "1e39", "is beyond the range of float32"),
    ],
)
def test_a_value_of_the_wrong_kind_or_range_is_refused(dtype: str, value: str, reason: str) -> None:
    assert refusal(f'{{"data": [{value}]}}', spec(dtype, None)) == ("data[0]", reason)


@pytest.mark.parametrize(
    ("dtype", "values", "expected"),
    [
        ("int32", "[1.0, -2e3]", [1, -2000]),
        ("int64", "[9223372036854775807]", [9223372036854775807]),
        ("int64", "[9007199254740993, -9223372036854775808]", [9007199254740993, -(2**63)]),
        ("int64", "[9007199254740991.0]", [9007199254740991]),
        ("uint64", "[18446744073709551615]", [18446744073709551615]),
        ("bool", "[true, false]", [True, False]),
        ("float64", "[1e308, 9007199254740993]", [1e308, 9007199254740992.0]),
        ("string", '["ß", "\\ud83d\\ude00"]', ["ß".encode(), "😀".encode()]),
    ],
)
def test_values_within_range_are_taken_exactly(dtype: str, values: str, expected: list[Any]) -> None:
    batch = parse_batch(f'{{"data": {values}}}'.encode(), spec(dtype, None), 100)
    assert batch["x"].tolist() == expected


def test_of_a_key_that_appears_twice_the_last_counts() -> None:
    """RFC 8259, section 4, leaves it open; Python's own reader, which could tell, takes ten times as long."""
    assert parse_batch(b'{"data": [[1, 2]], "data": [[3, 4]]}', PAIRS, 100)["pairs"].tolist() == [[3, 4]]


def test_base64_stands_for_bytes_wherever_a_string_does() -> None:
    rows = b'{"data": [{"b64": "/w=="}, "a", {"b64": ""}]}'
    assert parse_batch(rows, spec("string", None), 100)["x"].tolist() == [b"\xff", b"a", b""]
    named = b'{"data": [{"x": {"b64": "/w=="}}]}'
    assert parse_batch(named, spec("string", None), 100)["x"].tolist() == [b"\xff"]


def test_an_input_named_b64_is_no_base64() -> None:
    signature = Signature((TensorSpec("b64", "string", (None,)),), PAIRS.outputs)
    assert parse_batch(b'{"data": [{"b64": "/w=="}]}', signature, 100)["b64"].tolist() == [b"/w=="]


@pytest.mark.parametrize("text", ['"?"', '"YQ"', '"YQ==\\n"', "1", "null", '"ä"'])
def test_what_is_no_base64_is_refused(text: str) -> None:
    said = refusal(f'{{"data": [{{"b64": {text}}}]}}', spec("string", None))
    assert said == ("data[0].b64", "is not base64")


def test_json_values_are_rows_as_they_came() -> None:
    array = parse_batch(b'{"data": [[1, [2]], {"a": null}, "b"]}', spec("json", None), 100)["x"]
    assert array.shape == (3,)
    assert array.tolist() == [[1, [2]], {"a": None}, "b"]


@pytest.mark.parametrize("value", ["NaN", "[Infinity]", '{"a": 1e999}'])
def test_nan_is_refused_in_json_values_too(value: str) -> None:
    assert refusal(f'{{"data": [{value}]}}', spec("json", None))[1].startswith("the body is not JSON: ")


def test_a_long_body_with_nan_is_refused_without_a_second_reading() -> None:
    body = '{"data": [[1, NaN]' + " " * 2**20 + "]}"
    assert refusal(body) == (
        "",
        "the body is not JSON: unexpected character, expected a JSON value: line 1 column 15 (char 14)",
    )


def test_numbers_may_be_written_to() -> None:
    assert parse_batch(b'{"data": [[1, 2]]}', PAIRS, 100)["pairs"].flags.writeable


def test_ragged_rows_are_refused_where_a_dimension_is_free() -> None:
    body = {"instances": [[[1, 2], [3, 4]], [[1, 2], [3]]]}
    field, reason = refusal(body, spec("float32", None, None, None))
    assert (field, reason) == ("instances[1][1]", "has length 1, expected 2, like instances[0][0]")


def test_a_free_dimension_takes_the_size_of_the_first_row() -> None:
    batch = parse_batch(b'{"data": [[[1], [2], [3]]]}', spec("float32", None, None, 1), 100)
    assert batch["x"].shape == (1, 3, 1)


@pytest.mark.parametrize(("rows", "shape"), [([1, 2], (2,)), ([[1], [2]], (2, 1)), ([[[1, 2]]], (1, 1, 2))])
def test_a_free_rank_takes_the_nesting_of_the_first_row(rows: list[Any], shape: tuple[int, ...]) -> None:
    free = Signature((TensorSpec("x", "float32", None),), PAIRS.outputs)
    assert parse_batch(json.dumps({"data": rows}).encode(), free, 100)["x"].shape == shape


def test_empty_rows_are_refused() -> None:
    assert refusal({"data": [[], []]}, spec("float32", None, None)) == ("data[0]", "is empty")


def test_nesting_beyond_what_an_array_can_have_is_refused() -> None:
    free = Signature((TensorSpec("x", "float32", None),), PAIRS.outputs)
    assert refusal('{"data": ' + "[" * 50 + "1" + "]" * 50 + "}", free)[1].startswith("nested 49 deep")


def test_more_rows_than_allowed_are_refused() -> None:
    assert refusal({"data": [[1, 2]] * 101}) == ("data", "has 101 rows, at most 100 are answered at once")


def test_a_model_of_fixed_batch_size_takes_only_that() -> None:
    _, reason = refusal({"data": [[1, 2]] * 3}, spec("float32", 1, 2))
    assert reason == "3 rows, but the model takes exactly 1 at a time"


def test_plain_rows_are_refused_where_several_inputs_are_needed() -> None:
    assert refusal({"data": [[7]]}, TWO) == (
        "data[0]",
        "is a list, expected an object with the inputs age, text",
    )


fuzz = settings(database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)
rows = st.lists(
    st.lists(st.floats(width=32) | st.integers() | json_values, min_size=1, max_size=3), max_size=3
)
signatures = st.builds(
    spec, st.sampled_from(["float32", "int32", "bool", "string", "uint8"]), st.none(), st.none() | st.just(2)
)


@fuzz
@given(body=st.dictionaries(st.sampled_from(["data", "instances"]), json_values | rows), signature=signatures)
def test_whatever_json_comes_it_is_a_finite_batch_or_a_refusal(
    body: dict[str, Any], signature: Signature
) -> None:
    with suppress(BadRequest):
        array = parse_batch(json.dumps(body).encode(), signature, max_rows=100)["x"]
        assert array.ndim == 2
        assert array.dtype.kind != "f" or np.isfinite(array).all()


numbers = st.sampled_from(
    [0, 1, -1, 1.0, 1.5, 1e39, 300, 2**31, 2**53, 2**63, 2**64 - 1, -(2**63), "1", None, []]
)


@fuzz
@given(
    rows=st.lists(st.lists(numbers, min_size=1, max_size=2), min_size=1, max_size=3),
    dtype=st.sampled_from(["float16", "float32", "float64", "int8", "int32", "int64", "uint8", "uint64"]),
    size=st.sampled_from([None, 1, 2]),
)
def test_the_short_way_gives_what_the_careful_one_gives(
    rows: list[Any], dtype: str, size: int | None
) -> None:
    signature = Signature((TensorSpec("x", dtype, (None, size)),), PAIRS.outputs)

    def outcome(*, plain: bool) -> Any:
        try:
            array = rows_batch("data", rows, signature, 100, plain=plain)["x"]
        except BadRequest as refused:
            return refused.field, refused.reason
        return array.dtype, array.shape, array.tobytes()

    assert outcome(plain=True) == outcome(plain=False)


@fuzz
@given(st.binary(max_size=200))
def test_whatever_bytes_come_nothing_but_a_refusal_is_raised(body: bytes) -> None:
    refusal(body)
