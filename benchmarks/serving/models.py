"""Make a model and write down what the framework itself answers: run with our server's own Python.

    python -m benchmarks.serving.models NAME FOLDER

writes FOLDER/model.keras, FOLDER/saved_model (signature serving_default) and FOLDER/answers.npz with `inputs`
(rows first), the model's `outputs` for them, and the input's `name`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

DIGITS = Path(__file__).parents[2] / "examples" / "digits" / "model.keras"
SEED = 20
IMAGE = (224, 224, 3)


def digits() -> tuple[Any, Any]:
    """The example's classifier, and 1024 rows of 64 pixels from 0 to 16."""
    rows = np.random.default_rng(SEED).integers(0, 17, (1024, 64)).astype(np.float32)
    return keras.saving.load_model(DIGITS), rows


def image() -> tuple[Any, Any]:
    """A small convolutional network on images: what it costs is less than what their transport does."""
    pixels = keras.Input(IMAGE, name="image")
    features = keras.layers.Conv2D(8, 7, strides=8, activation="relu")(pixels)
    pooled = keras.layers.GlobalAveragePooling2D()(features)
    return keras.Model(pixels, keras.layers.Dense(10, name="class")(pooled)), _images(16)


def resnet50() -> tuple[Any, Any]:
    """ResNet50 with random weights: as fast as with trained ones."""
    pixels = keras.Input(IMAGE, name="image")
    network = keras.applications.ResNet50(weights=None, input_tensor=pixels, classifier_activation=None)
    return network, _images(32)


def _images(count: int) -> Any:
    """Noise, each image brighter than the one before: no two have the same answer."""
    brightness = np.linspace(0.1, 1, count, dtype=np.float32).reshape(-1, 1, 1, 1)
    return np.random.default_rng(SEED).random((count, *IMAGE), np.float32) * brightness


MODELS: dict[str, Callable[[], tuple[Any, Any]]] = {"digits": digits, "image": image, "resnet50": resnet50}


def main(name: str, folder: Path) -> None:
    keras.utils.set_random_seed(SEED)
    model, inputs = MODELS[name]()
    folder.mkdir(parents=True, exist_ok=True)
    model.save(folder / "model.keras", include_optimizer=False)
    shape = (None, *inputs.shape[1:])
    name = model.inputs[0].name

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32, name)])  # type: ignore[untyped-decorator]
    def serve(tensor: Any) -> Any:
        return {"output": model(tensor, training=False)}

    tf.saved_model.save(model, str(folder / "saved_model"), signatures={"serving_default": serve})
    outputs = np.concatenate([model(part, training=False) for part in np.array_split(inputs, 8)])
    np.savez(folder / "answers.npz", inputs=inputs, outputs=outputs, name=name)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
