"""Write a Keras model in MLflow's format, in its own flavour or as user code around a SavedModel's signature.

    python mlflow_model.py FOLDER flavour|signature OUTPUT

FOLDER holds model.keras and saved_model. The flavour is what MLflow's documentation does with a Keras model,
https://mlflow.org/docs/latest/ml/deep-learning/keras/; the other is a `PythonModel`, its way to bring code.
"""

import sys
from pathlib import Path

import keras
import mlflow
import numpy as np
import tensorflow as tf
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec


class Signature(mlflow.pyfunc.PythonModel):
    def load_context(self, context):  # type: ignore[no-untyped-def]
        self.model = tf.saved_model.load(context.artifacts["saved_model"])
        self.call = self.model.signatures["serving_default"]
        (self.name,) = self.call.structured_input_signature[1]

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def] # noqa: ARG002
        (answer,) = self.call(**{self.name: tf.constant(model_input)}).values()
        return answer.numpy()


def main(folder: Path, kind: str, output: Path) -> None:
    model = keras.saving.load_model(folder / "model.keras")
    inputs, outputs = (
        Schema([TensorSpec(np.dtype(np.float32), (-1, *tensor.shape[1:]))])
        for tensor in (model.inputs[0], model.outputs[0])
    )
    signature = ModelSignature(inputs, outputs)
    if kind == "flavour":
        mlflow.tensorflow.save_model(model, output, signature=signature)
    else:
        artifacts = {"saved_model": str(folder / "saved_model")}
        mlflow.pyfunc.save_model(output, python_model=Signature(), artifacts=artifacts, signature=signature)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
