"""Train the digits classifier on scikit-learn's bundled 8 by 8 scans and write model.keras and metrics.json.

    python examples/digits/train.py            # beside this file, in about ten seconds on two cores

Needs scikit-learn besides the packages in requirements.lock. Seeded: the same machine and packages give the
same weights again; another processor may differ in the last bits.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SEED = 20
EPOCHS = 40
BATCH = 64


def digits() -> list[np.ndarray]:
    """Train pixels, test pixels (n, 64) of 0 to 16; train labels, test labels (n,) of 0 to 9; 80 % train."""
    pixels, labels = load_digits(return_X_y=True)
    return train_test_split(
        pixels.astype(np.float32), labels, test_size=0.2, random_state=SEED, stratify=labels
    )


def classifier() -> keras.Model:
    """64 pixels in, 10 probabilities out; the scaling is a layer, so that clients send raw pixels."""
    pixels = keras.Input((64,), name="pixels")
    hidden = keras.layers.Rescaling(1 / 16)(pixels)
    hidden = keras.layers.Dense(128, activation="relu")(hidden)
    hidden = keras.layers.Dropout(0.3)(hidden)
    hidden = keras.layers.Dense(64, activation="relu")(hidden)
    hidden = keras.layers.Dropout(0.3)(hidden)
    digit = keras.layers.Dense(10, activation="softmax", name="digit")(hidden)
    return keras.Model(pixels, digit, name="digits")


def train() -> tuple[keras.Model, dict[str, float | int]]:
    """The trained model and what it measured on the rows that it never saw."""
    keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    train_pixels, test_pixels, train_labels, test_labels = digits()
    model = classifier()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(train_pixels, train_labels, batch_size=BATCH, epochs=EPOCHS, verbose=2)
    loss, accuracy = model.evaluate(test_pixels, test_labels, verbose=0)
    metrics = {
        "accuracy": round(accuracy, 4),
        "loss": round(loss, 4),
        "train_rows": len(train_labels),
        "test_rows": len(test_labels),
    }
    return model, metrics


def main(folder: Path) -> None:
    model, metrics = train()
    model.save(folder / "model.keras", include_optimizer=False)
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    print(f"accuracy {metrics['accuracy']:.2%} on {metrics['test_rows']} unseen scans")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
