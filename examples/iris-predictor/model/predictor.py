"""Tell an iris's species from its measures: Gaussian naive Bayes in NumPy alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

MEASURES = ("sepal_length", "sepal_width", "petal_length", "petal_width")  # in centimetres


def load(path: Path) -> dict[str, np.ndarray]:
    """What train.py wrote beside this file."""
    content = json.loads((path / "irises.json").read_text(encoding="utf-8"))
    return {name: np.array(values) for name, values in content.items()}


def predict(model: dict[str, np.ndarray], inputs: list[dict[str, float]]) -> list[dict[str, Any]]:
    """One object for each flower: the likeliest species, and the probability of each."""
    flowers = np.array([[flower[measure] for measure in MEASURES] for flower in inputs])
    likelihoods = joint_log_likelihoods(model, flowers)
    shares = np.exp(likelihoods - likelihoods.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    names = model["species"].tolist()
    return [
        {"species": names[row.argmax()], "probabilities": dict(zip(names, row.tolist(), strict=True))}
        for row in shares
    ]


def joint_log_likelihoods(model: dict[str, np.ndarray], flowers: np.ndarray) -> np.ndarray:
    """(flowers, 4) → (flowers, species)."""
    means, variances = model["means"], model["variances"]
    distances = ((flowers[:, None] - means) ** 2 / variances).sum(axis=2)
    return np.log(model["priors"]) - (np.log(2 * np.pi * variances).sum(axis=1) + distances) / 2
