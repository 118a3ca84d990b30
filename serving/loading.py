"""From a folder to a model that answers its next request as fast as any later one."""

from __future__ import annotations

import logging
import time

from serving.runtimes import find, load
from serving.served import Served
from serving.settings import Settings
from serving.warmup import warm_up

log = logging.getLogger("serving")


def load_served(settings: Settings) -> Served:
    """Find, load and warm up the model, and say how long it took; raises ModelUnusable."""
    start = time.monotonic()
    found = find(settings.model_path, settings.model_format)
    model = load(found, settings.signature_name)
    warm = warm_up(model, found.path, settings.batching.max_rows)
    fields = {
        "format": found.format.name,
        "device": model.device,
        "seconds": round(time.monotonic() - start, 3),
        "warm": bool(warm),
    }
    log.info("%s is ready", found.path.name, extra={"fields": fields})
    about = {"format": found.format.name, **settings.about}
    return Served(settings.model_name, settings.model_version, model, settings.max_rows, about)
