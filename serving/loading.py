"""From a folder to a model that answers its next request as fast as any later one."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from serving.predict import warm_up
from serving.runtimes import Model, find, load

log = logging.getLogger("serving")


def load_ready(path: Path, model_format: str = "") -> Model:
    """Find, load and warm up the model, and say how long it took; raises ModelUnusable."""
    start = time.monotonic()
    found = find(path, model_format)
    model = load(found)
    warm = warm_up(model)
    fields = {
        "format": found.format.name,
        "device": model.device,
        "seconds": round(time.monotonic() - start, 3),
        "warm": warm,
    }
    log.info("%s is ready", found.path.name, extra={"fields": fields})
    return model
