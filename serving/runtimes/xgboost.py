"""XGBoost's own model files, `.ubj` and `.json`: https://xgboost.readthedocs.io/en/stable/tutorials/saving_model.html."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xgboost

from serving.errors import ModelUnusable
from serving.runtimes import DEFAULT_SIGNATURE
from serving.runtimes.threads import threads
from serving.runtimes.ubjson import check_whole
from serving.signature import Signature, TensorSpec
from serving.tensors import Tensor

_TREES = ("gbtree", "dart")  # their prediction is safe in several threads; gblinear's is not


class XgboostModel:
    """A booster of trees; NaN stands for a missing value, which binary requests can carry and JSON cannot."""

    device = "cpu"

    def __init__(self, booster: Any, objective: str) -> None:
        self._booster = booster
        self._rounds = _rounds(booster)
        features = int(booster.num_features())
        groups = self._groups(np.zeros((1, features), np.float32)).shape[1]
        shape = (None,) if groups == 1 else (None, groups)
        self._output = TensorSpec(
            "probabilities" if objective == "multi:softprob" else "prediction", "float32", shape
        )
        rows = TensorSpec("features", "float32", (None, features))
        self.signatures = {DEFAULT_SIGNATURE: Signature((rows,), (self._output,))}

    def predict(self, batch: Mapping[str, Tensor], signature: str = "") -> dict[str, Tensor]:  # noqa: ARG002
        groups = self._groups(batch["features"])
        return {self._output.name: groups if self._output.row_shape else groups[:, 0]}

    def _groups(self, features: Tensor) -> Tensor:
        """(rows, features) → (rows, 1), or one column for each class or target."""
        groups: Tensor = self._booster.inplace_predict(
            features, iteration_range=self._rounds, strict_shape=True, validate_features=False
        )
        return groups


def load(path: Path) -> XgboostModel:
    """Load a booster of trees; raises ModelUnusable for a file cut off, on which XGBoost would crash."""
    if path.suffix == ".ubj":
        check_whole(path)
    booster = xgboost.Booster({"nthread": threads()}, model_file=path)
    learner = json.loads(booster.save_config())["learner"]
    kind = learner["gradient_booster"]["name"]
    if kind not in _TREES:
        raise ModelUnusable(
            f"{path.name} is a {kind} booster; only those of trees ({', '.join(_TREES)}) are served"
        )
    return XgboostModel(booster, learner["objective"]["name"])


def _rounds(booster: Any) -> tuple[int, int]:
    """Up to the best round where training stopped early, as in XGBoost's scikit-learn interface; else all."""
    best = booster.attr("best_iteration")
    return (0, min(int(best) + 1, booster.num_boosted_rounds())) if best else (0, 0)
