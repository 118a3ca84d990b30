"""A session answers as the function itself does, and is not taken where that is not sure."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.runtimes import Model
from serving.tensors import Tensor

PAIRS = np.array([[1, 2], [3, 4], [5, 6]], np.float32)

pytestmark = pytest.mark.timeout(180)  # the first test imports TensorFlow


@pytest.fixture(scope="module")
def tf(load_model: Callable[[Path], Model]) -> Any:
    """TensorFlow, imported once the environment is what the server makes it."""
    return pytest.importorskip("tensorflow")


@pytest.fixture(scope="module")
def keras(tf: Any) -> Any:
    return pytest.importorskip("keras")


def traced(tf: Any, call: Any, *specs: Any) -> Any:
    """As TracedFunction traces; specs are (shape, type) or, left out, one of pairs."""
    signature = [tf.TensorSpec(*spec) for spec in specs or [([None, 2], "float32")]]
    return tf.function(call, input_signature=signature, autograph=False).get_concrete_function()


def in_session(function: Any, inputs: int = 1) -> Callable[[Sequence[Tensor]], list[Tensor]] | None:
    from serving.runtimes.session import session_run

    return session_run(function, inputs)


def both(function: Any, *arrays: Tensor) -> list[Tensor]:
    """What a session answers, which is what the function itself does."""
    run = in_session(function, len(arrays))
    assert run
    answers = run(arrays)
    itself = [tensor.numpy() for tensor in function(*arrays)]
    assert [(each.dtype, each.shape) for each in answers] == [(each.dtype, each.shape) for each in itself]
    for answer, expected in zip(answers, itself, strict=True):
        np.testing.assert_array_equal(answer, expected)
    return answers


def aligned(rows: int) -> Tensor:
    """Rows of two ones where TensorFlow takes them without a copy."""
    memory = np.empty(rows * 8 + 64, np.uint8)
    start = -memory.ctypes.data % 64
    pairs = memory[start : start + rows * 8].view(np.float32).reshape(rows, 2)
    pairs[:] = 1
    return pairs


@pytest.mark.parametrize("rows", [0, 1, 3, 32, 64])
def test_variables_have_the_values_that_they_had(rows: int, tf: Any) -> None:
    weights = tf.Variable(np.random.default_rng(1).random((2, 5), np.float32))
    bias = tf.Variable(np.random.default_rng(2).random(5, np.float32))
    function = traced(tf, lambda x: [tf.nn.relu(x @ weights + bias), x @ weights])
    both(function, np.random.default_rng(3).random((rows, 2), np.float32))


def test_inputs_and_outputs_keep_their_order_whether_or_not_they_are_used(tf: Any) -> None:
    def call(left: Any, unused: Any, right: Any) -> list[Any]:
        difference = left - right
        return [difference, left, difference, tf.constant([7.0, 8.0])]

    specs = (([None, 2], "float32"), ([None], "int64"), ([None, 2], "float32"))
    answers = both(traced(tf, call, *specs), PAIRS, np.zeros(3, np.int64), PAIRS * 3)
    np.testing.assert_array_equal(answers[0], PAIRS * -2)


@pytest.mark.parametrize(
    "dtype",
    [
        *("bool", "bfloat16", "float16", "float32", "float64"),
        *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    ],
)
def test_every_type_goes_in_and_comes_out_as_it_is(dtype: str, tf: Any) -> None:
    kept = tf.Variable(tf.cast([[0, 1]], dtype))
    function = traced(tf, lambda x: [x, tf.concat([x, kept], 0)], ([None, 2], dtype))
    both(function, np.array([[0, 1], [1, 0]]).astype(tf.as_dtype(dtype).as_numpy_dtype))


def test_text_is_bytes(tf: Any) -> None:
    greeting = tf.Variable("hello ")
    function = traced(tf, lambda names: [greeting + names], ([None], "string"))
    answers = both(function, np.array([b"Ada", "Jürgen".encode()], object))
    assert answers[0].tolist() == [b"hello Ada", "hello Jürgen".encode()]


def test_a_shape_may_be_open_in_every_dimension(tf: Any) -> None:
    both(traced(tf, lambda x: [tf.transpose(x)], ([None, None, None], "float32")), np.ones((2, 3, 5), "f"))
    both(traced(tf, lambda x: [x * 2], (None, "float32")), np.ones((2, 3, 5), "f"))


def test_a_captured_tensor_is_as_good_as_a_variable(tf: Any) -> None:
    offset = tf.constant(np.arange(200, dtype=np.float32))
    function = traced(tf, lambda x: [x[:, :1] + offset])
    assert function.captured_inputs
    both(function, PAIRS)


def test_rows_of_a_table_are_looked_up(tf: Any) -> None:
    table = tf.Variable(np.random.default_rng(1).random((9, 3), np.float32))
    function = traced(tf, lambda ids: [tf.gather(table, ids)], ([None, 4], "int32"))
    both(function, np.array([[0, 8, 1, 1]], np.int32))


@pytest.mark.parametrize("layer", ["LSTM", "GRU", "SimpleRNN"])
def test_loops_over_steps_are_run(layer: str, keras: Any, tf: Any) -> None:
    steps = keras.Input((None, 3))
    model = keras.Model(steps, getattr(keras.layers, layer)(4)(steps))
    function = traced(tf, lambda x: [model(x, training=False)], ([None, None, 3], "float32"))
    both(function, np.random.default_rng(1).random((3, 5, 3), np.float32))


def test_branches_read_variables_too(tf: Any) -> None:
    one, two = tf.Variable(1.0), tf.Variable(2.0)
    function = traced(tf, lambda x: [tf.cond(x[0, 0] > 0, lambda: x + one, lambda: x * two)])
    both(function, PAIRS)
    both(function, -PAIRS)


def test_an_answer_outlives_what_was_given(tf: Any) -> None:
    run = in_session(traced(tf, lambda x: [x, tf.reshape(x, [-1]), x * 2]))
    assert run
    given = aligned(1000)
    answers = run([given])
    given[:] = 5
    assert [set(answer.flat) for answer in answers] == [{1}, {1}, {2}]


def test_what_was_given_stays_as_it_is(tf: Any) -> None:
    run = in_session(traced(tf, lambda x: [tf.nn.relu(-x) + 1]))
    assert run
    given = aligned(1000)
    given.flags.writeable = False
    run([given])
    assert set(given.flat) == {1}


def test_an_assertion_that_no_answer_needs_still_fails(tf: Any) -> None:
    def call(x: Any) -> list[Any]:
        tf.debugging.assert_less(x, 10.0, message="too big")
        return [x * 2]

    inner = tf.function(call, autograph=False)
    for function in (traced(tf, call), traced(tf, lambda x: inner(x))):
        both(function, PAIRS)
        run = in_session(function)
        assert run
        for _ in range(2):
            with pytest.raises(tf.errors.InvalidArgumentError, match="too big"):
                run([PAIRS * 10])
        np.testing.assert_array_equal(run([PAIRS])[0], PAIRS * 2)


def counting(tf: Any) -> Any:
    count = tf.Variable(0.0)
    return lambda x: [x + count.assign_add(1.0)]


def counting_inside(tf: Any) -> Any:
    return tf.function(counting(tf), autograph=False)


def counting_in_a_branch(tf: Any) -> Any:
    count = tf.Variable(0.0)
    return lambda x: [tf.cond(x[0, 0] > 0, lambda: x + count.assign_add(1.0), lambda: x)]


def looking_up(tf: Any) -> Any:
    values = tf.lookup.KeyValueTensorInitializer([1, 2], [5.0, 6.0], key_dtype="int64")
    table = tf.lookup.StaticHashTable(values, -1.0)
    return lambda x: [table.lookup(tf.cast(x, "int64"))]


def random(tf: Any) -> Any:
    return lambda x: [x + tf.random.uniform([2])]


def calling_python(tf: Any) -> Any:
    return lambda x: [tf.ensure_shape(tf.py_function(lambda y: y + 1, [x], "float32"), [None, 2])]


@pytest.mark.parametrize(
    "make", [counting, counting_inside, counting_in_a_branch, looking_up, random, calling_python]
)
def test_a_function_with_state_is_left_alone(make: Any, tf: Any) -> None:
    assert in_session(traced(tf, make(tf))) is None


def test_many_variables_are_not_worth_the_time_to_set_them_up(tf: Any) -> None:
    from serving.runtimes.session import MOST_CAPTURED

    variables = [tf.Variable([1.0, 2.0]) for _ in range(MOST_CAPTURED + 1)]
    few = traced(tf, lambda x: [x + tf.add_n(list(map(tf.identity, variables[1:])))])
    many = traced(tf, lambda x: [x + tf.add_n(list(map(tf.identity, variables)))])
    both(few, PAIRS)
    assert in_session(many) is None


def test_big_variables_are_not_held_twice(tf: Any) -> None:
    from serving.runtimes.session import MOST_BYTES

    fits, exceeds = (tf.Variable(tf.zeros([2, MOST_BYTES // 8 + more])) for more in (0, 1))
    both(traced(tf, lambda x: [x @ fits]), PAIRS)
    assert in_session(traced(tf, lambda x: [x @ exceeds])) is None


def test_a_variable_of_open_shape_may_be_of_any_size(tf: Any) -> None:
    kept = tf.Variable([[1.0, 2.0]], shape=[None, 2])
    assert in_session(traced(tf, lambda x: [x + kept])) is None


def test_a_variable_without_a_value_leaves_the_function_alone(tf: Any) -> None:
    handle = tf.raw_ops.VarHandleOp(dtype="float32", shape=[2], shared_name="never assigned")
    function = traced(tf, lambda x: [x + tf.raw_ops.ReadVariableOp(resource=handle, dtype="float32")])
    assert in_session(function) is None


def test_other_threads_go_on_while_a_session_computes(tf: Any) -> None:
    weights = tf.constant(np.random.default_rng(1).random((1000, 1000), np.float32))

    def call(x: Any) -> list[Any]:
        for _ in range(20):
            x = tf.tanh(x @ weights)
        return [x]

    run = in_session(traced(tf, call, ([None, 1000], "float32")))
    assert run
    rows = np.ones((500, 1000), np.float32)
    run([rows])
    computing = threading.Thread(target=run, args=([rows],))
    computing.start()
    woken = 0
    while computing.is_alive():
        time.sleep(0.001)
        woken += 1
    assert woken > 5
