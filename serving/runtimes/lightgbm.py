"""LightGBM's own model files: the text that `Booster.save_model` writes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any

import lightgbm

from serving.errors import ModelUnusable
from serving.runtimes import DEFAULT_SIGNATURE
from serving.runtimes.threads import threads
from serving.signature import Signature, TensorSpec
from serving.tensors import Tensor

_CLASSES = ("multiclass", "multiclassova")


class LightgbmModel:
    """A booster; NaN stands for a missing value, which binary requests can carry and JSON cannot."""

    device = "cpu"

    def __init__(self, booster: Any, objective: str) -> None:
        self._booster = booster
        self._threads = threads()
        groups = booster.num_model_per_iteration()
        shape = (None,) if groups == 1 else (None, groups)
        self._output = "probabilities" if objective in _CLASSES else "prediction"
        rows = TensorSpec("features", "float64", (None, booster.num_feature()))
        self.signatures = {
            DEFAULT_SIGNATURE: Signature((rows,), (TensorSpec(self._output, "float64", shape),))
        }

    def predict(self, batch: Mapping[str, Tensor], signature: str = "") -> dict[str, Tensor]:  # noqa: ARG002
        return {self._output: self._booster.predict(batch["features"], num_threads=self._threads)}


def load(path: Path) -> LightgbmModel:
    """Load a booster; raises ModelUnusable for a file that was cut off, on which LightGBM would abort."""
    text = path.read_bytes()
    header = _header(text)
    if not _is_whole(text, header.get(b"tree_sizes", b"")):
        raise ModelUnusable(f"{path.name} is no whole LightGBM model; it was damaged or cut off")
    lightgbm.register_logger(logging.getLogger("lightgbm"))  # it prints on stdout otherwise
    objective = header.get(b"objective", b"").decode("utf-8").partition(" ")[0]
    return LightgbmModel(lightgbm.Booster(model_str=text.decode("utf-8")), objective)


def _header(text: bytes) -> dict[bytes, bytes]:
    """The lines `key=value` before the first tree."""
    lines = text[: text.find(b"\nTree=")].splitlines()
    return {key: value for key, _, value in (line.partition(b"=") for line in lines)}


def _is_whole(text: bytes, sizes: bytes) -> bool:
    """Whether every tree begins where the sizes of those before it say, and the end follows the last."""
    if not text.startswith(b"tree\n") or not all(size.isdigit() for size in sizes.split()):
        return False
    begin = text.find(b"\nTree=0\n") + 1 or text.find(b"\nend of trees") + 1
    offsets = list(accumulate(map(int, sizes.split()), initial=begin))
    trees = (text.startswith(b"Tree=%d\n" % number, at) for number, at in enumerate(offsets[:-1]))
    return all(trees) and text.startswith(b"end of trees", offsets[-1]) and b"\nend of parameters" in text
