"""How two images differ, told from their manifests and configurations alone: no layer is pulled."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ml_containerize.names import Digest
from ml_containerize.oci.config import env_of
from ml_containerize.oci.image import ImageFacts
from ml_containerize.plan.labels import (
    BASE_DIGEST,
    BASE_NAME,
    ENVIRONMENT_KEY,
    LAYER,
    METRICS,
    MODEL_FORMAT,
    MODEL_HASH,
    MODEL_NAME,
    PACKAGES,
    TITLE,
)
from ml_containerize.results import Change, Differences, Scalar

KINDS = ("base", "packages", "serving", "model")
_MODEL = {"name": MODEL_NAME, "format": MODEL_FORMAT, "hash": MODEL_HASH}
_BASE = {"name": BASE_NAME, "digest": BASE_DIGEST}
_TOLD = {*_MODEL.values(), *_BASE.values(), ENVIRONMENT_KEY, METRICS}
_MODEL_VARIABLES = {"MODEL_NAME", "MODEL_FORMAT", "MODEL_HASH", "GIT_SHA", "ENVIRONMENT_KEY"}
_STARTED = {
    "entrypoint": "Entrypoint",
    "command": "Cmd",
    "user": "User",
    "working directory": "WorkingDir",
    "stop signal": "StopSignal",
}
_UNLISTED = "packages differ, but not both images list theirs: only the titles of their layers were compared"


def differences(before: ImageFacts, after: ImageFacts) -> Differences:
    """Every part in which the two differ; raises MalformedContent."""
    layers = tuple(kind for kind in KINDS if _of_kind(before, kind) != _of_kind(after, kind))
    unlisted = "packages" in layers and not (_lists_packages(before) and _lists_packages(after))
    sizes = [{layer.digest: layer.size for layer in image.manifest.layers} for image in (before, after)]
    return Differences(
        model=changes(_named(before, _MODEL), _named(after, _MODEL)),
        metrics=changes(_metrics(before), _metrics(after)),
        packages=changes(_packages(before, unlisted), _packages(after, unlisted)),
        base=changes(_named(before, _BASE), _named(after, _BASE)),
        configuration=changes(_configuration(before), _configuration(after)),
        labels=changes(_other_labels(before), _other_labels(after)),
        layers=layers,
        size_before=_size(before),
        size_after=_size(after),
        new_bytes=sum(size for digest, size in sizes[1].items() if digest not in sizes[0]),
        notices=(_UNLISTED,) if unlisted else (),
    )


def changes(before: Mapping[str, Scalar], after: Mapping[str, Scalar]) -> tuple[Change, ...]:
    """What only one of the two has, or both have with different values, sorted by name."""
    names = sorted({*before, *after})
    found = (Change(name, before.get(name), after.get(name)) for name in names)
    return tuple(one for one in found if one.before != one.after)


def _of_kind(image: ImageFacts, kind: str) -> list[Digest]:
    layers = image.manifest.layers
    return [layer.digest for layer in layers if layer.annotations.get(LAYER, "base") == kind]


def _size(image: ImageFacts) -> int:
    return sum(layer.size for layer in image.manifest.layers)


def _named(image: ImageFacts, keys: Mapping[str, str]) -> dict[str, Scalar]:
    return {name: image.labels[key] for name, key in keys.items() if key in image.labels}


def _other_labels(image: ImageFacts) -> dict[str, Scalar]:
    return {key: value for key, value in image.labels.items() if key not in _TOLD}


def _lists_packages(image: ImageFacts) -> bool:
    return any(PACKAGES in layer.annotations for layer in image.manifest.layers)


def _packages(image: ImageFacts, by_title: bool) -> dict[str, Scalar]:
    """Version by name; by the titles of layers ("numpy 2.4.5") only the large packages are known."""
    if by_title:
        titles = (
            layer.annotations.get(TITLE, "")
            for layer in image.manifest.layers
            if layer.annotations.get(LAYER) == "packages"
        )
        pairs = [title.split(" ") for title in titles]
        return {pair[0]: pair[1] for pair in pairs if len(pair) == 2 and pair[1][:1].isdigit()}
    lines = [
        line for layer in image.manifest.layers for line in layer.annotations.get(PACKAGES, "").split("\n")
    ]
    return {name: version for name, _, version in (line.partition("==") for line in lines) if name}


def _metrics(image: ImageFacts) -> dict[str, Scalar]:
    """Each value of the metrics by its path; a label that is no JSON is one text."""
    text = image.labels.get(METRICS, "")
    try:
        return dict(_leaves("", json.loads(text))) if text else {}
    except (ValueError, RecursionError):
        return {"": text}


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Scalar]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(f"{path}.{key}" if path else key, item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(f"{path}[{index}]", item)
    else:
        yield path, value


def _configuration(image: ImageFacts) -> dict[str, Scalar]:
    """How the image is started, but for the variables that repeat what labels tell."""
    run_part = image.config.get("config") or {}
    told: dict[str, Scalar] = {
        name: _text(run_part[key]) for name, key in _STARTED.items() if run_part.get(key)
    }
    if ports := run_part.get("ExposedPorts"):
        told["ports"] = _text(sorted(ports))
    if volumes := run_part.get("Volumes"):
        told["volumes"] = _text(sorted(volumes))
    variables = {name: value for name, value in env_of(image.config).items() if name not in _MODEL_VARIABLES}
    told |= {f"variable {name}": value for name, value in variables.items()}
    return {**told, "platform": str(image.platform)}


def _text(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
