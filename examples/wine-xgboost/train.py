"""Train boosted trees on scikit-learn's bundled chemical analyses of wines; write model.ubj and metrics.json.

    python examples/wine-xgboost/train.py    # beside this file, in a second

Needs scikit-learn and xgboost (or xgboost-cpu). Seeded: the same machine and packages give the same trees.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import xgboost
from sklearn.datasets import load_wine
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

SEED = 20
ROUNDS = 40
SETTINGS = {
    "objective": "multi:softprob",
    "num_class": 3,
    "max_depth": 3,
    "eta": 0.2,
    "subsample": 0.8,
    "seed": SEED,
}


def wines() -> list[np.ndarray]:
    """Train analyses, test analyses (n, 13); train cultivars, test cultivars (n,) of 0 to 2; 70 % train."""
    analyses, cultivars = load_wine(return_X_y=True)
    return train_test_split(
        analyses.astype(np.float32), cultivars, test_size=0.3, random_state=SEED, stratify=cultivars
    )


def train() -> tuple[xgboost.Booster, dict[str, float | int]]:
    """The trees and what they measured on the rows that they never saw."""
    train_wines, test_wines, train_cultivars, test_cultivars = wines()
    model = xgboost.train(SETTINGS, xgboost.DMatrix(train_wines, train_cultivars), ROUNDS)
    probabilities = model.inplace_predict(test_wines)
    metrics = {
        "accuracy": round(float((probabilities.argmax(axis=1) == test_cultivars).mean()), 4),
        "loss": round(float(log_loss(test_cultivars, probabilities)), 4),
        "train_rows": len(train_cultivars),
        "test_rows": len(test_cultivars),
    }
    return model, metrics


def main(folder: Path) -> None:
    model, metrics = train()
    model.save_model(folder / "model.ubj")
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    print(f"accuracy {metrics['accuracy']:.2%} on {metrics['test_rows']} unseen wines")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
