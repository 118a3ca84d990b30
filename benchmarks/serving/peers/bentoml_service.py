"""BentoML around the SavedModel's signature.

    MODEL=saved_model WORKERS=2 BATCHABLE=1 bentoml serve bentoml_service:Served

Workers and adaptive batching as in
https://docs.bentoml.com/en/latest/build-with-bentoml/parallelize-requests.html and
https://docs.bentoml.com/en/latest/get-started/adaptive-batching.html; the bench takes the best.
"""

import os
from typing import Annotated

import bentoml
import numpy as np
import tensorflow as tf
from bentoml.validators import DType

Rows = Annotated[np.ndarray, DType("float32")]


@bentoml.service(workers=int(os.environ["WORKERS"]))
class Served:
    def __init__(self) -> None:
        self.model = tf.saved_model.load(os.environ["MODEL"])
        self.call = self.model.signatures["serving_default"]
        (self.name,) = self.call.structured_input_signature[1]

    @bentoml.api(batchable=os.environ["BATCHABLE"] == "1", max_batch_size=64, max_latency_ms=1000)
    def predict(self, rows: Rows) -> np.ndarray:
        (answer,) = self.call(**{self.name: tf.constant(rows)}).values()
        return answer.numpy()
