"""scikit-learn's estimators, saved by skops, or as pickles where the user asks for that."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import is_classifier, is_regressor

from serving.errors import ModelUnusable, one_line
from serving.runtimes import DEFAULT_SIGNATURE
from serving.signature import Signature, TensorSpec
from serving.tensors import Tensor

log = logging.getLogger("serving")

Method = Callable[[Tensor], Any]

# scikit-learn's own parts of forests, neighbours, networks and calibration. skops leaves them out because a
# damaged file could crash the process with them (https://github.com/skops-dev/skops/pull/535), as one of any
# native format can; none of them runs code from the file.
_PARTS = (
    "sklearn._loss.loss.HalfTweedieLossIdentity",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.feature_selection._univariate_selection.f_classif",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.tree._tree.Tree",
)
_INSTEAD = "a predictor.py beside it can load and call it"


class SklearnModel:
    """A fitted estimator that takes a matrix of numbers, and the methods that answer for it."""

    device = "cpu"

    def __init__(self, features: int, methods: Mapping[str, Method]) -> None:
        """Call each method once for a row of zeros, to learn what it answers; raises ModelUnusable."""
        self._methods = methods
        rows = TensorSpec("features", "float64", (None, features))
        try:
            answers = self.predict({"features": np.zeros((1, features))})
        except ModelUnusable:
            raise
        except Exception as error:
            reason = f"the estimator does not answer a matrix of numbers ({one_line(error)})"
            raise ModelUnusable(f"{reason}; {_INSTEAD}") from error
        self.signatures = {
            DEFAULT_SIGNATURE: Signature((rows,), tuple(_spec(*answer) for answer in answers.items()))
        }

    def predict(self, batch: Mapping[str, Tensor], signature: str = "") -> dict[str, Tensor]:  # noqa: ARG002
        features = batch["features"]
        return {name: _plain(method(features)) for name, method in self._methods.items()}


def load(path: Path) -> SklearnModel:
    """Load the estimator; its features come as one matrix, in the order in which it was fitted."""
    estimator = _skops(path) if path.suffix == ".skops" else _pickle(path)
    features = getattr(estimator, "n_features_in_", None)
    if features is None:
        what = f"a {type(estimator).__name__} is no fitted estimator over a matrix of numbers"
        raise ModelUnusable(f"{path.name}: {what}; {_INSTEAD}")
    names = getattr(estimator, "feature_names_in_", None)
    if names is not None:
        log.info("the features' order", extra={"fields": {"features": [str(name) for name in names]}})
        warnings.filterwarnings("ignore", "X does not have valid feature names")  # they come in that order
    return SklearnModel(int(features), _methods(estimator))


def _skops(path: Path) -> Any:
    """Load only types that skops trusts, and _PARTS: https://skops.readthedocs.io/en/stable/persistence.html."""
    import skops.io

    unknown = skops.io.get_untrusted_types(file=path)
    if untrusted := sorted(set(unknown).difference(_PARTS)):
        types = ", ".join(untrusted)
        advice = "load it in a predictor.py with skops.io.load(file, trusted=[...]), or use another format"
        raise ModelUnusable(f"{path.name} holds types that skops does not trust: {types}; {advice}")
    return skops.io.load(path, trusted=unknown)


def _pickle(path: Path) -> Any:
    """joblib also reads plain pickles."""
    if os.environ.get("ALLOW_PICKLE") != "true":
        danger = "a pickle, which can run any code when it is loaded"
        advice = "set ALLOW_PICKLE=true where you trust its origin, or save the model with skops"
        raise ModelUnusable(f"{path.name} is {danger}; {advice}")
    import joblib

    return joblib.load(path)


def _methods(estimator: Any) -> dict[str, Method]:
    """Which methods answer, by the output's name."""
    if is_classifier(estimator) and hasattr(estimator, "predict_proba"):
        return {"label": estimator.predict, "probabilities": estimator.predict_proba}
    if is_regressor(estimator):
        return {"prediction": estimator.predict}
    if hasattr(estimator, "predict"):
        return {"label": estimator.predict}
    if hasattr(estimator, "transform"):
        return {"features_out": estimator.transform}
    raise ModelUnusable(f"a {type(estimator).__name__} can neither predict nor transform")


def _plain(answer: Any) -> Tensor:
    """An array of numbers, or of UTF-8 for text, from an estimator's answer; sparse matrices are filled."""
    array: Tensor = np.asarray(answer.toarray() if hasattr(answer, "toarray") else answer)
    if array.dtype.kind not in "OU":
        return array
    if not all(isinstance(text, str) for text in array.flat):
        raise ModelUnusable(f"the estimator answers neither numbers nor strings; {_INSTEAD}")
    flat = np.fromiter((text.encode("utf-8") for text in array.flat), object, array.size)
    return flat.reshape(array.shape)


def _spec(name: str, array: Tensor) -> TensorSpec:
    dtype = "string" if array.dtype.kind == "O" else array.dtype.name
    return TensorSpec(name, dtype, (None, *array.shape[1:]))
