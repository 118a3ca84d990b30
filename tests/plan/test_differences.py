from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from ml_containerize.names import Digest
from ml_containerize.oci import media
from ml_containerize.oci.descriptor import Descriptor
from ml_containerize.oci.image import ImageFacts
from ml_containerize.oci.manifest import Manifest
from ml_containerize.plan.differences import differences
from ml_containerize.plan.labels import BASE_DIGEST, BASE_NAME, LAYER, METRICS, MODEL_HASH, PACKAGES, TITLE
from ml_containerize.results import Change, Differences

LABELS = {MODEL_HASH: "1" * 64, METRICS: '{"accuracy":0.97}', BASE_NAME: "python:3.12", BASE_DIGEST: "d"}


def layer(content: str, size: int, **annotations: str) -> Descriptor:
    return Descriptor(media.LAYER_TAR, Digest.of(content.encode()), size, annotations)


def packages(*lines: str, title: str = "Python packages", size: int = 100) -> Descriptor:
    listed = {PACKAGES: "\n".join(lines)} if lines else {}
    return layer(f"{lines}{title}{size}", size, **{LAYER: "packages", TITLE: title, **listed})


def facts(
    *layers: Descriptor,
    labels: Mapping[str, str] = LABELS,
    run: Mapping[str, Any] | None = None,
    base: str = "base",
) -> ImageFacts:
    """An image of a base, these layers, a server and a model."""
    own = (layer(base, 1000), *layers, layer("server", 10, **{LAYER: "serving"}), model_layer(labels))
    config = {
        "os": "linux",
        "architecture": "amd64",
        "rootfs": {"type": "layers", "diff_ids": []},
        "config": {"Labels": dict(labels), "Env": ["PATH=/bin"], **(run or {})},
    }
    manifest = Manifest(Descriptor.of(json.dumps(config).encode(), media.CONFIG), own)
    return ImageFacts("digits", manifest.described(), manifest, config)


def model_layer(labels: Mapping[str, str]) -> Descriptor:
    return layer(f"model {labels.get(MODEL_HASH)}", 50, **{LAYER: "model"})


def test_an_image_does_not_differ_from_itself() -> None:
    image = facts(packages("numpy==2.4.5"))
    assert differences(image, image) == Differences(size_before=1160, size_after=1160)


def test_packages_are_told_as_added_removed_and_moved_from_the_manifest_alone() -> None:
    before = facts(packages("numpy==2.4.5", "six==1.0", size=100), packages("torch==2.9.0+cpu", size=1))
    after = facts(packages("flask==3.1.0", "numpy==2.4.6", size=103), packages("torch==2.9.0+cpu", size=1))
    found = differences(before, after)
    assert found.packages == (
        Change("flask", None, "3.1.0"),
        Change("numpy", "2.4.5", "2.4.6"),
        Change("six", "1.0", None),
    )
    assert found.layers == ("packages",)
    assert (found.size_after - found.size_before, found.new_bytes) == (3, 103)
    assert found.notices == ()


def test_an_image_without_lists_is_compared_by_its_layers_titles_and_says_so() -> None:
    before = facts(packages(title="numpy 2.4.5"), packages(title="Python packages"))
    after = facts(packages("numpy==2.4.6", title="numpy 2.4.6"), packages("six==1.0"))
    found = differences(before, after)
    assert found.packages == (Change("numpy", "2.4.5", "2.4.6"),)
    assert "not both images list theirs" in found.notices[0]


def test_the_model_its_metrics_and_the_base_are_told_from_labels() -> None:
    other = {**LABELS, MODEL_HASH: "2" * 64, METRICS: '{"accuracy":0.98,"loss":{"val":[1]}}'}
    other |= {BASE_DIGEST: "e", "team": "vision"}
    found = differences(facts(), facts(labels=other, base="newer base"))
    assert found.model == (Change("hash", "1" * 64, "2" * 64),)
    assert found.metrics == (Change("accuracy", 0.97, 0.98), Change("loss.val[0]", None, 1))
    assert found.base == (Change("digest", "d", "e"),)
    assert found.labels == (Change("team", None, "vision"),)
    assert found.layers == ("base", "model")


@pytest.mark.parametrize("text", ["{broken", "[" * 100_000])
def test_metrics_that_are_no_json_are_one_text(text: str) -> None:
    found = differences(facts(), facts(labels={**LABELS, METRICS: text}))
    assert Change("", None, text) in found.metrics


def test_how_an_engine_starts_the_image_is_told_but_not_twice_what_labels_tell() -> None:
    before = facts(run={"User": "root", "Entrypoint": ["python", "-m", "serving"]})
    env = ["PATH=/bin", "MODEL_HASH=x", "GIT_SHA=y", "ENVIRONMENT_KEY=z", "THREADS=2"]
    after = facts(run={"User": "65532", "ExposedPorts": {"8080/tcp": {}}, "Env": env})
    assert differences(before, after).configuration == (
        Change("entrypoint", "python -m serving", None),
        Change("ports", None, "8080/tcp"),
        Change("user", "root", "65532"),
        Change("variable THREADS", None, "2"),
    )
