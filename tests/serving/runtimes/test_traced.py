"""A traced function answers alike whichever way it is called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.runtimes import Model
from tests.serving.runtimes.conftest import AnswersAlike

EXAMPLES = Path(__file__).parents[3] / "examples"
PAIRS = np.array([[1, 2], [3, 4]], np.float32)

pytestmark = pytest.mark.timeout(180)  # the first test imports TensorFlow


@pytest.fixture(scope="module")
def tf(load_model: Callable[[Path], Model]) -> Any:
    """TensorFlow, imported once the environment is what the server makes it."""
    return pytest.importorskip("tensorflow")


def traced(tf: Any, call: Callable[[Any], Any], *shape: int | None) -> Any:
    from serving.runtimes.traced import TracedFunction

    inputs = {"x": tf.TensorSpec(shape or [None, 2], "float32")}
    return TracedFunction(inputs, ["y"], lambda tensors: [call(tensors[0])])


def test_what_a_model_remembers_counts_from_call_to_call(tf: Any) -> None:
    count = tf.Variable(0.0)
    function = traced(tf, lambda x: x + count.assign_add(1.0))
    answers = [function({"x": PAIRS})["y"] for _ in range(2)]
    np.testing.assert_array_equal(answers, [PAIRS + 1, PAIRS + 2])


def test_a_row_that_the_model_refuses_is_its_own_error(tf: Any) -> None:
    weights = tf.Variable([1.0, 2.0])

    def call(x: Any) -> Any:
        with tf.control_dependencies([tf.debugging.assert_less(x, 10.0, message="too big")]):
            return x * weights

    function = traced(tf, call)
    with pytest.raises(tf.errors.InvalidArgumentError, match="too big"):
        function({"x": PAIRS * 10})
    np.testing.assert_array_equal(function({"x": PAIRS})["y"], PAIRS * [1, 2])


def test_where_the_session_fails_the_function_itself_answers_from_then_on(
    tf: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = []

    def failing(arrays: Any) -> Any:
        failed.append(arrays)
        raise tf.errors.UnimplementedError(None, None, "no kernel for this")

    monkeypatch.setattr("serving.runtimes.traced.session_run", lambda *_: failing)
    function = traced(tf, lambda x: x * 2)
    for _ in range(2):
        np.testing.assert_array_equal(function({"x": PAIRS})["y"], PAIRS * 2)
    assert len(failed) == 1


def test_where_tensorflow_has_no_such_session_the_function_itself_answers(
    tf: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(tf.compat.v1.Session.__base__, "_make_callable_from_options")
    np.testing.assert_array_equal(traced(tf, lambda x: x * 2)({"x": PAIRS})["y"], PAIRS * 2)


@pytest.mark.parametrize("form", ["digits", "digits-savedmodel/saved_model"])
def test_many_threads_get_the_same_answers(
    form: str, load_model: Callable[[Path], Model], tf: Any, answers_alike_from_many_threads: AnswersAlike
) -> None:
    pixels = np.random.default_rng(7).integers(0, 17, (5, 64)).astype(np.float32)
    answers_alike_from_many_threads(load_model(EXAMPLES / form), {"pixels": pixels})
