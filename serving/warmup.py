"""Calls before the first request, so that no client waits for what a framework does only once."""

from __future__ import annotations

from pathlib import Path

from serving import predict
from serving.runtimes import Model


def warm_up(model: Model, _path: Path, _max_rows: int) -> bool:
    """Call the model with rows of zeros."""
    return predict.warm_up(model)
