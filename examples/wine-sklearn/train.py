"""Train a classifier of wines on scikit-learn's bundled analyses; write model.skops and metrics.json.

    python examples/wine-sklearn/train.py    # beside this file, in a second

Needs scikit-learn and skops. Seeded: the same machine and packages give the same coefficients again.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import skops.io
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

SEED = 20


def wines() -> list[np.ndarray]:
    """Train analyses, test analyses (n, 13); train names, test names (n,) of the cultivar; 70 % train."""
    wine = load_wine()
    names = wine.target_names[wine.target]
    return train_test_split(wine.data, names, test_size=0.3, random_state=SEED, stratify=names)


def train() -> tuple[Pipeline, dict[str, float | int]]:
    """The fitted pipeline and what it measured on the rows that it never saw."""
    train_wines, test_wines, train_names, test_names = wines()
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1)).fit(train_wines, train_names)
    metrics = {
        "accuracy": round(float(model.score(test_wines, test_names)), 4),
        "loss": round(float(log_loss(test_names, model.predict_proba(test_wines))), 4),
        "train_rows": len(train_names),
        "test_rows": len(test_names),
    }
    return model, metrics


def main(folder: Path) -> None:
    model, metrics = train()
    skops.io.dump(model, folder / "model.skops")
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    print(f"accuracy {metrics['accuracy']:.2%} on {metrics['test_rows']} unseen wines")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
