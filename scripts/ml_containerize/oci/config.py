"""Image configurations: what an engine runs, and the history of the layers (OCI "Image Configuration")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ml_containerize.names import Digest, Platform
from ml_containerize.oci.document import (
    Json,
    MalformedContent,
    expect,
    expect_digest,
    expect_strings,
    parse_object,
)
from ml_containerize.oci.layers import Layer


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How an engine starts the image; what is empty stays as the base has it. `env` goes over the base's."""

    user: str = ""
    working_dir: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()  # such as "8080/tcp"
    stop_signal: str = ""


def parse_config(body: bytes) -> Json:
    """Read an image's configuration; raises MalformedContent, also for artifacts that are no images."""
    config = parse_object(body, "image configuration")
    platform_of(config)
    diff_ids_of(config)
    return config


def platform_of(config: Json) -> Platform:
    """The platform that the image was made for; raises MalformedContent."""
    where = "image configuration"
    return Platform(
        expect(config.get("os"), str, f"{where}, os"),
        expect(config.get("architecture"), str, f"{where}, architecture"),
        expect(config.get("variant", ""), str, f"{where}, variant"),
    )


def diff_ids_of(config: Json) -> tuple[Digest, ...]:
    """The digests of the uncompressed layers, lowest first; raises MalformedContent."""
    where = "image configuration, rootfs"
    rootfs = expect(config.get("rootfs"), dict, where)
    found = expect(rootfs.get("diff_ids"), list, f"{where}.diff_ids")
    return tuple(expect_digest(item, f"{where}.diff_ids[{number}]") for number, item in enumerate(found))


def labels_of(config: Json) -> Mapping[str, str]:
    """The image's labels; raises MalformedContent."""
    return expect_strings(_run_part(config).get("Labels"), "image configuration, Labels")


def env_of(config: Json) -> dict[str, str]:
    """The image's environment variables, in their order; raises MalformedContent."""
    where = "image configuration, Env"
    pairs = [expect(pair, str, where) for pair in expect(_run_part(config).get("Env") or [], list, where)]
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs)}


def created_by_of(config: Json) -> tuple[str, ...]:
    """What made each layer, lowest first, as far as the history tells."""
    steps = [step for step in _history(config) if not step.get("empty_layer")]
    told = tuple(str(step.get("created_by", "")) for step in steps)
    count = len(diff_ids_of(config))
    return told if len(told) == count else ("",) * count


def extend(
    base: Json,
    layers: Sequence[Layer],
    *,
    created: str,
    settings: RunSettings | None = None,
    labels: Mapping[str, str] | None = None,
) -> Json:
    """The base's configuration with layers on top, its own entries untouched. `created` is RFC 3339."""
    base_ids = [str(digest) for digest in diff_ids_of(base)]
    added = [{"created": created, "created_by": layer.created_by} for layer in layers]
    run_part = _started(_run_part(base), settings or RunSettings())
    run_part["Labels"] = {**labels_of(base), **(labels or {})}
    return {
        **base,
        "created": created,
        "config": run_part,
        "rootfs": {"type": "layers", "diff_ids": base_ids + [str(layer.diff_id) for layer in layers]},
        "history": _whole_history(base, len(base_ids)) + added,
    }


def _started(run_part: Json, settings: RunSettings) -> Json:
    changed: Json = {
        "User": settings.user,
        "WorkingDir": settings.working_dir,
        "Env": [
            f"{name}={value}" for name, value in {**env_of({"config": run_part}), **settings.env}.items()
        ],
        "Entrypoint": list(settings.entrypoint),
        "Cmd": list(settings.command),
        "ExposedPorts": {**(run_part.get("ExposedPorts") or {}), **{port: {} for port in settings.ports}},
        "StopSignal": settings.stop_signal,
    }
    inherited = {key: value for key, value in run_part.items() if key != "Cmd" or not settings.entrypoint}
    return inherited | {key: value for key, value in changed.items() if value}


def _whole_history(base: Json, layer_count: int) -> list[Json]:
    """The base's history, filled up to its layers: engines refuse an image where the two differ."""
    history = _history(base)
    told = sum(1 for step in history if not step.get("empty_layer"))
    if told > layer_count:
        raise MalformedContent(f"The base's history tells of {told} layers, but it has {layer_count}")
    return history + [{"created_by": "layer of the base image"}] * (layer_count - told)


def _history(config: Json) -> list[Json]:
    where = "image configuration, history"
    return [expect(step, dict, where) for step in expect(config.get("history") or [], list, where)]


def _run_part(config: Json) -> Json:
    return expect(config.get("config") or {}, dict, "image configuration, config")
