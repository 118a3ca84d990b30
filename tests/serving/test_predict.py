from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from serving.errors import ModelUnusable
from serving.predict import predict, warm_up
from serving.runtimes import DEFAULT_SIGNATURE
from serving.signature import Signature, TensorSpec
from serving.tensors import Tensor


class Recorder:
    """Remembers the batch that it was given, and answers a fixed array."""

    device = "cpu"

    def __init__(self, answer: Tensor, *inputs: TensorSpec) -> None:
        signature = Signature(inputs, (TensorSpec("out", "float32", (None, 1)),))
        self.signatures = {DEFAULT_SIGNATURE: signature}
        self.answer = answer
        self.batch: dict[str, Tensor] = {}

    def predict(self, batch: Mapping[str, Tensor], signature: str = "") -> dict[str, Tensor]:
        assert signature in ("", *self.signatures)
        self.batch = dict(batch)
        return {"out": self.answer}


def test_bytes_become_predictions() -> None:
    model = Recorder(np.array([[1.5]]), TensorSpec("x", "float32", (None, 2)))
    assert predict(model, b'{"data": [[1, 2]]}', max_rows=1) == {"predictions": [[1.5]]}


def test_the_first_call_has_one_row_of_zeros_for_every_input() -> None:
    model = Recorder(
        np.zeros((1, 1)), TensorSpec("a", "int32", (None, 2, 3)), TensorSpec("b", "string", (None,))
    )
    assert warm_up(model)
    assert model.batch["a"].shape == (1, 2, 3)
    assert model.batch["a"].dtype == np.int32
    assert model.batch["b"].tolist() == [b""]


def test_the_first_call_has_as_many_rows_as_a_fixed_batch() -> None:
    model = Recorder(np.zeros((8, 1)), TensorSpec("a", "float32", (8, 2)))
    assert warm_up(model)
    assert model.batch["a"].shape == (8, 2)


@pytest.mark.parametrize("shape", [None, (None, None)])
def test_no_row_is_made_up_where_a_dimension_is_free(shape: tuple[int | None, ...] | None) -> None:
    model = Recorder(np.zeros((1, 1)), TensorSpec("a", "float32", shape))
    assert not warm_up(model)
    assert model.batch == {}


def test_a_model_whose_first_call_fails_is_unusable(doubler: Any) -> None:
    doubler.error = RuntimeError("no kernel\n  for this processor")
    with pytest.raises(
        ModelUnusable, match=r"first call failed: RuntimeError: no kernel for this processor$"
    ):
        warm_up(doubler)


@pytest.mark.parametrize("answer", [np.float32(0), np.zeros((2, 1))])
def test_a_model_that_does_not_answer_row_by_row_is_unusable(answer: Tensor) -> None:
    model = Recorder(answer, TensorSpec("a", "float32", (None, 1)))
    with pytest.raises(ModelUnusable, match="for 1 row"):
        warm_up(model)
