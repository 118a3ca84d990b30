"""Fit Gaussian naive Bayes to scikit-learn's bundled irises; write model/irises.json and metrics.json.

    python examples/iris-predictor/train.py    # beside this file, in a second

Needs scikit-learn. What serves the model needs NumPy alone: model/predictor.py reads what is written here.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_iris
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB

SEED = 20


def irises() -> list[np.ndarray]:
    """Train flowers, test flowers (n, 4) in centimetres; train species, test species (n,); 70 % train."""
    iris = load_iris()
    species = iris.target_names[iris.target]
    return train_test_split(iris.data, species, test_size=0.3, random_state=SEED, stratify=species)


def train() -> tuple[GaussianNB, dict[str, float | int]]:
    """The fitted classifier and what it measured on the rows that it never saw."""
    train_flowers, test_flowers, train_species, test_species = irises()
    model = GaussianNB().fit(train_flowers, train_species)
    metrics = {
        "accuracy": round(float(model.score(test_flowers, test_species)), 4),
        "loss": round(float(log_loss(test_species, model.predict_proba(test_flowers))), 4),
        "train_rows": len(train_species),
        "test_rows": len(test_species),
    }
    return model, metrics


def as_json(model: GaussianNB) -> dict[str, list]:
    """By species: its share of the flowers, and each measure's mean and variance."""
    return {
        "species": model.classes_.tolist(),
        "priors": model.class_prior_.tolist(),
        "means": model.theta_.tolist(),
        "variances": model.var_.tolist(),
    }


def main(folder: Path) -> None:
    model, metrics = train()
    (folder / "model").mkdir(exist_ok=True)
    for path, content in (("model/irises.json", as_json(model)), ("metrics.json", metrics)):
        (folder / path).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    print(f"accuracy {metrics['accuracy']:.2%} on {metrics['test_rows']} unseen flowers")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
