"""Base image, locked Python packages and serving code, identified together by the environment key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ml_containerize.names import (
    BaseReference,
    Digest,
    DigestReference,
    EnvironmentKey,
    Platform,
    parse_reference,
)
from ml_containerize.plan.environment.host import runs_here
from ml_containerize.plan.environment.locked import locked_packages
from ml_containerize.plan.environment.requirements import Requirement
from ml_containerize.plan.environment.serving import serving_folder, serving_hash

BUILDER_VERSION = 2  # raise it where the same inputs come to give other environment layers


@dataclass(frozen=True, slots=True)
class Environment:
    """Everything of the image but the model."""

    lock: Path
    requirements: tuple[Requirement, ...]
    base: BaseReference
    serving: Path  # the folder of the serving package
    platform: Platform
    key: EnvironmentKey


ResolveBase = Callable[[str, Platform], BaseReference]


def plan_environment(
    project: Path, requirements: Path | None, base: BaseReference, platform: Platform, runtime: str
) -> Environment:
    """Raises what `locked_packages` raises, and ServingMissing."""
    serving = serving_folder()
    lock, locked = locked_packages(project, requirements, serving, runtime)
    key = environment_key(base.digest, platform, locked, serving_hash(serving), runs_here(platform))
    return Environment(lock, locked, base, serving, platform, key)


def find_base(text: str, platform: Platform, resolve: ResolveBase) -> BaseReference:
    """The base image's digest: written in a pinned reference, otherwise asked for."""
    if text.startswith("/"):
        return resolve(text, platform)
    reference = parse_reference(text)
    if isinstance(reference, DigestReference):
        name = text.partition("@")[0]
        tagged = ":" in name.rpartition("/")[2]
        shown = parse_reference(name) if tagged else reference.repository
        return BaseReference(str(shown), reference.digest, str(reference))
    return resolve(text, platform)


def environment_key(
    base: Digest, platform: Platform, locked: Iterable[Requirement], serving: str, compiled: bool
) -> EnvironmentKey:
    """SHA-256 over canonical JSON of all that environment layers are made from; comments do not count.

    `compiled`: packages are byte-compiled where the machine that builds runs the base image's own Python.
    """
    parts = {
        "builder": BUILDER_VERSION,
        "base": str(base),
        "platform": str(platform),
        "lock": sorted(map(str, locked)),
        "serving": serving,
        "compiled": compiled,
    }
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return EnvironmentKey(hashlib.sha256(text.encode()).hexdigest())
