"""Manifests and configurations: an environment over its base, an image over its environment."""

from __future__ import annotations

from collections.abc import Sequence

from ml_containerize.build.base import DEFAULT_PATH
from ml_containerize.oci import media
from ml_containerize.oci.config import RunSettings, env_of, extend
from ml_containerize.oci.content import Content
from ml_containerize.oci.descriptor import Descriptor
from ml_containerize.oci.document import canonical
from ml_containerize.oci.image import FoundImage, Image, ImageFacts
from ml_containerize.oci.layers import Layer
from ml_containerize.oci.layout import Layout
from ml_containerize.oci.manifest import Manifest
from ml_containerize.plan.decide import Plan
from ml_containerize.plan.labels import ENVIRONMENT_KEY, LAYER, TITLE
from ml_containerize.plan.model.runtimes import server_variables

_ENVIRONMENT_CREATED = "1980-01-01T00:00:00Z"  # an environment is the same whichever commit first needed it


def notes(kind: str, title: str) -> dict[str, str]:
    """A layer's annotations."""
    return {LAYER: kind, TITLE: title}


def own_layers(image: ImageFacts) -> tuple[Descriptor, ...]:
    """The layers that this command made, without the base's."""
    return tuple(layer for layer in image.manifest.layers if LAYER in layer.annotations)


def assemble(plan: Plan, environment: FoundImage, layers: Sequence[Layer], layout: Layout) -> Image:
    """The image of a plan; writes its manifest and its configuration, which are small."""
    config = extend(
        environment.config,
        layers,
        created=plan.created,
        settings=RunSettings(env=_model_variables(plan)),
        labels=plan.labels,
    )
    body = canonical(config)
    manifest = _manifest(environment, layers, Descriptor.of(body, media.CONFIG))
    content = Content(layout, environment.sources)
    layout.write(body, media.CONFIG)
    descriptor = layout.write(manifest.as_bytes(), media.MANIFEST)
    return Image(f"{plan.name}:{plan.identity}", descriptor, manifest, config, content)


def _model_variables(plan: Plan) -> dict[str, str]:
    """What the server is told of the model; the environment beneath knows nothing of it."""
    settings = plan.settings
    loading = server_variables(plan.name, plan.model.format, settings.backend, settings.allow_pickle)
    facts = {
        "MODEL_HASH": str(plan.model.hash),
        "GIT_SHA": str(plan.source.sha or ""),
        "ENVIRONMENT_KEY": str(plan.environment.key),
    }
    return {**loading, **{name: value for name, value in facts.items() if value}}


def environment_image(plan: Plan, base: FoundImage, layers: Sequence[Layer]) -> FoundImage:
    """The environment of a plan over its base; where its own layers are is the caller's knowledge."""
    config = extend(
        base.config,
        layers,
        created=_ENVIRONMENT_CREATED,
        settings=_run_settings(base),
        labels={ENVIRONMENT_KEY: str(plan.environment.key)},
    )
    config_body = canonical(config)
    manifest = _manifest(base, layers, Descriptor.of(config_body, media.CONFIG))
    return FoundImage(
        name=plan.environment.key.tag,
        descriptor=manifest.described(),
        manifest=manifest,
        config=config,
        manifest_body=manifest.as_bytes(),
        config_body=config_body,
        sources=base.sources,
    )


def _manifest(below: ImageFacts, layers: Sequence[Layer], config: Descriptor) -> Manifest:
    lower = (descriptor.as_oci() for descriptor in below.manifest.layers)
    return Manifest(config, (*lower, *(layer.descriptor for layer in layers)))


def _run_settings(base: ImageFacts) -> RunSettings:
    path = env_of(base.config).get("PATH", DEFAULT_PATH)
    return RunSettings(
        user="65532:65532",
        working_dir="/opt/serving",
        env={
            "PATH": f"/opt/venv/bin:{path}",
            "PYTHONPATH": "/opt/serving",
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "MODEL_PATH": "/opt/ml/model",
        },
        entrypoint=("/opt/venv/bin/python", "-m", "serving"),
        ports=("8080/tcp",),
        stop_signal="SIGTERM",
    )
