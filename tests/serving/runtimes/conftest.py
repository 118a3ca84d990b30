"""What the runtimes' tests share: files that are no models, and many threads."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from serving.runtimes import Model
from serving.tensors import Tensor

NO_MODELS = {
    "empty": b"",
    "text": b"hello\n" * 50,
    "zeros": bytes(1000),
    "an archive's beginning": b"PK\x03\x04" + bytes(100),
    "a pickle": pickle.dumps({"a": 1}),
    "nested without end": b"{" * 100_000,
}


@pytest.fixture(params=NO_MODELS)
def no_model(request: pytest.FixtureRequest) -> bytes:
    """The content of a file that is a model of no format."""
    return NO_MODELS[request.param]


AnswersAlike = Callable[[Model, Mapping[str, Tensor]], None]


@pytest.fixture
def answers_alike_from_many_threads() -> AnswersAlike:
    """Predict for the same rows from eight threads at once, and compare with one call before."""

    def check(model: Model, batch: Mapping[str, Tensor]) -> None:
        alone = model.predict(batch)
        with ThreadPoolExecutor(8) as pool:
            for answer in pool.map(model.predict, [batch] * 64):
                assert answer.keys() == alone.keys()
                for name, array in answer.items():
                    np.testing.assert_array_equal(array, alone[name])

    return check
