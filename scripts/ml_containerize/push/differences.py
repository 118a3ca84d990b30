"""Why two images of one commit and one model are not the same: the parts in which they differ."""

from __future__ import annotations

from ml_containerize.names import Digest
from ml_containerize.oci.image import ImageFacts

LAYER_KIND = "io.ml-containerize.layer"
_BASE_NAME = "org.opencontainers.image.base.name"
_BASE_DIGEST = "org.opencontainers.image.base.digest"
_ENVIRONMENT = "io.ml-containerize.environment.key"
_KINDS = {
    "": "the base image's layers",
    "packages": "the packages (lock file)",
    "serving": "the serving code",
    "model": "the model's layers (the tool's version)",
}


def differences(published: ImageFacts, ours: ImageFacts) -> tuple[str, ...]:
    """Each part that differs, as words for a person; one that says so where none can be told."""
    found = [*_base(published, ours), *_layers(published, ours), *_labels(published, ours)]
    return tuple(found) or ("the rest of the configuration (the tool's version)",)


def _base(published: ImageFacts, ours: ImageFacts) -> list[str]:
    before, now = (image.labels.get(_BASE_DIGEST, "") for image in (published, ours))
    if before == now:
        return []
    name = ours.labels.get(_BASE_NAME, "")
    return [f"the base image{f' {name}' if name else ''} ({_short(before)}, now {_short(now)})"]


def _layers(published: ImageFacts, ours: ImageFacts) -> list[str]:
    """Kinds of layers that differ; where the base image does, its layers need no second mention."""
    same_base = not _base(published, ours)
    return [
        words
        for kind, words in _KINDS.items()
        if (kind or same_base) and _of_kind(published, kind) != _of_kind(ours, kind)
    ]


def _labels(published: ImageFacts, ours: ImageFacts) -> list[str]:
    """Labels that differ, but for those that follow from another difference."""
    keys = {*published.labels, *ours.labels} - {_BASE_NAME, _BASE_DIGEST, _ENVIRONMENT}
    changed = sorted(key for key in keys if published.labels.get(key) != ours.labels.get(key))
    return [f"the labels {', '.join(changed)}"] if changed else []


def _of_kind(image: ImageFacts, kind: str) -> list[Digest]:
    layers = image.manifest.layers
    return [layer.digest for layer in layers if layer.annotations.get(LAYER_KIND, "") == kind]


def _short(digest: str) -> str:
    return digest[:19] or "not recorded"
