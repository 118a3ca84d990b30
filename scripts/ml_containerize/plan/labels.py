"""What an image tells of itself.

Labels are part of the image's digest. They depend on the commit and the model, never on the branch, tag or
moment: the commit that was proved on `main` gives the same bytes when it is released.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from ml_containerize.console import human_size
from ml_containerize.errors import PlanError
from ml_containerize.plan.environment.environment import Environment
from ml_containerize.plan.git.source import Source
from ml_containerize.plan.model.model import Model
from ml_containerize.results import Json

METRICS_NAME = "metrics.json"
METRICS_LIMIT = 4096  # bytes; labels travel with every look at an image

_OCI = "org.opencontainers.image."  # https://specs.opencontainers.org/image-spec/annotations/
_OWN = "io.ml-containerize."

TITLE = f"{_OCI}title"
REVISION = f"{_OCI}revision"
VERSION = f"{_OCI}version"
CREATED = f"{_OCI}created"
BASE_NAME = f"{_OCI}base.name"
BASE_DIGEST = f"{_OCI}base.digest"
MODEL_NAME = f"{_OWN}model.name"
MODEL_HASH = f"{_OWN}model.hash"
MODEL_FORMAT = f"{_OWN}model.format"
ENVIRONMENT_KEY = f"{_OWN}environment.key"
METRICS = f"{_OWN}metrics"

# Annotations of layers, which are read with the manifest
LAYER = f"{_OWN}layer"  # packages, serving or model; the base's layers have none
PACKAGES = f"{_OWN}packages"  # what is installed in a layer, a line `name==version` each


class BadMetrics(PlanError):
    """metrics.json cannot travel as a label."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path} {why}", "Write one JSON object of at most 4 KiB, or remove the file.")


def created(source: Source) -> str:
    """The source's time in RFC 3339."""
    return datetime.fromtimestamp(source.epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def labels(
    name: str,
    identity: str,
    model: Model,
    environment: Environment,
    source: Source,
    metrics: Json | None,
    further: Mapping[str, str],
) -> dict[str, str]:
    """All labels by key, sorted; facts that are not known are left out."""
    base = environment.base
    facts = {
        TITLE: name,
        VERSION: identity,
        REVISION: str(source.sha or ""),
        f"{_OCI}source": source.url,
        CREATED: created(source),
        BASE_NAME: "" if base.name.startswith("/") else base.name,
        BASE_DIGEST: str(base.digest),
        MODEL_NAME: name,
        MODEL_HASH: str(model.hash),
        MODEL_FORMAT: model.format,
        ENVIRONMENT_KEY: str(environment.key),
        METRICS: _compact(metrics) if metrics is not None else "",
    }
    known = {key: value for key, value in facts.items() if value}
    return dict(sorted((known | dict(further)).items()))


def read_metrics(project: Path) -> Json | None:
    """The training metrics, if the project has some. Raises BadMetrics."""
    path = project / METRICS_NAME
    try:
        metrics = json.loads(path.read_bytes(), parse_constant=_refuse)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadMetrics(path, f"cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise BadMetrics(path, f"is not JSON: {error}") from error
    if not isinstance(metrics, dict):
        raise BadMetrics(path, "is not a JSON object")
    size = len(_compact(metrics).encode())
    if size > METRICS_LIMIT:
        raise BadMetrics(path, f"is too large for a label: {human_size(size)}")
    return metrics


def _compact(metrics: Json) -> str:
    return json.dumps(metrics, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")
