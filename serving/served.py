"""The model that is served, under the name and version by which clients ask for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from serving.runtimes import Model


@dataclass(frozen=True, slots=True)
class Served:
    """A ready model; `about` tells where it comes from: model_hash, git_sha, environment_key."""

    name: str
    version: str
    model: Model
    max_rows: int
    about: Mapping[str, str] = field(default_factory=dict)
