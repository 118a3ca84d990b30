"""What the user decided: flags, environment, config file and defaults, parsed once into one frozen value."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from ml_containerize.names import DigestReference, Platform, Repository
from ml_containerize.plan.settings.options import BY_NAME, DEFAULT_BASE, OPTIONS
from ml_containerize.plan.settings.problems import Problem, WrongSettings
from ml_containerize.plan.settings.reading import Reading, Values
from ml_containerize.plan.settings.secret import Secret
from ml_containerize.plan.settings.values import image_of

__all__ = ["DEFAULT_BASE", "Budgets", "Secret", "Settings", "load_settings"]

Latest = Literal["auto"] | bool
Engine = Literal["auto", "docker", "embedded"]
Existing = Literal["refuse", "keep"]

OUTPUT_NAME = ".ml-containerize"
_NOT_THE_PIPELINES = {
    *("command", "python-path"),  # read by the action before there is a command
    *(option.name for option in OPTIONS if option.only_for),
}


@dataclass(frozen=True, slots=True)
class Budgets:
    """Limits that the smoke test's measurements may not exceed; None sets no limit."""

    latency_p95_ms: float | None = None
    startup_seconds: float | None = None
    memory_mb: float | None = None  # megabytes of 2**20 bytes


@dataclass(frozen=True, slots=True)
class Settings:
    """Every option's value; paths are absolute."""

    project: Path
    config: Path | None  # the config file that was read
    model: Path | None  # None: the one candidate in the project
    backend: str  # of Keras; "" where none was named
    allow_pickle: bool
    requirements: Path | None
    name: str  # the last part of an image's name
    base_image: str
    platform: Platform
    images: tuple[Repository, ...]
    tags: tuple[str, ...]  # extra moving tags
    tag_latest: Latest
    labels: Mapping[str, str]
    push: bool  # also true where `build` pushes by digest
    push_by_digest: bool
    image: DigestReference | None  # the published image that a stage is about; None: the layout's
    registry: str  # the login's registry; "" where images[0] names it
    username: str
    password: Secret
    existing: Existing
    allow_dirty: bool
    smoke: bool
    smoke_cases: str  # a glob inside the project
    engine: Engine
    gpus: str  # "auto", "none", "all", a count or "device=…"
    startup_timeout: float  # seconds
    budgets: Budgets
    compare_with: str  # "auto", "none", a registry reference or a layout folder
    predictions: Literal["must-match", "may-change"]
    interface: Literal["compatible", "may-change"]
    scan: bool
    severity: frozenset[str]
    ignore_unfixed: bool
    exit_code: int  # 0: report findings without refusing
    scanners: tuple[str, ...]
    trivyignores: tuple[Path, ...]
    timeout: str  # a Go duration, for trivy
    db_repository: tuple[str, ...]
    skip_db_update: bool
    trivy_version: str  # "" where the built-in pin applies
    trivy_sha256: str
    trivy_path: Path | None
    summary: bool
    output: Path
    cache: Path


def load_settings(
    project: Path,
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    here: Path | None = None,
) -> Settings:
    """Read every source; a flag wins over a variable, over the config file, over the default.

    `flags` maps option names to what was typed; None and '' mean that nothing was. Relative paths start at
    `here` (default: the current folder), or at the project where the option is about something inside it.
    Raises WrongSettings with every problem of every source.
    """
    folder = here or Path.cwd()
    reading = Reading(Path(os.path.normpath(folder / project)), folder)
    typed = reading.environment(environ) | reading.flags(flags)
    config, written = reading.config(typed.get("config"))
    values = reading.defaults() | written | typed
    values |= {"path": reading.project, "config": config} | _implied(values)
    contradictions = [why for names, why in _contradictions(values) if not reading.failed.intersection(names)]
    if reading.problems or contradictions:
        raise WrongSettings([*reading.problems, *contradictions])
    return _settings(values, folder)


def _implied(values: Values) -> Values:
    """What other options say without being asked: an image in a registry is published where it is."""
    image: DigestReference | None = values["image"] or None
    return {
        "push": values["push"] or values["push-by-digest"],
        "image": image,
        "images": values["images"] or ((image.repository,) if image else ()),
    }


def _contradictions(values: Values) -> Iterator[tuple[tuple[str, ...], Problem]]:
    """What every option by itself accepts but all together cannot mean, and which options that concerns."""
    if not values["path"].is_dir():
        yield (), Problem(f"{str(values['path'])!r} is not a folder", where="path")
    if values["push"] and not values["images"]:
        yield ("images",), Problem("there is nowhere to push to; name an image in `images`", where="push")
    if values["password"] and not values["username"]:
        yield ("username",), Problem("a password needs a `username`", where="username")
    if values["push"] and values["username"] and not values["password"]:
        variable = BY_NAME["password"].variable
        yield ("password",), Problem(f"a username needs a password; set {variable}", where="password")
    if bool(values["trivy-version"]) != bool(values["trivy-sha256"]):
        names = ("trivy-version", "trivy-sha256")
        yield names, Problem("`trivy-version` and `trivy-sha256` need each other", where="trivy-sha256")
    if not values["name"] and not default_name(values["path"]):
        why = "the folder's name has no a-z or 0-9 to make a name of; set `name`"
        yield ("name",), Problem(why, where="name")


def default_name(project: Path) -> str:
    """The folder's name in the alphabet of image names: `My Model` becomes `my-model`."""
    return re.sub(r"[^a-z0-9]+", "-", project.name.lower()).strip("-")


def _settings(values: Values, here: Path) -> Settings:
    """Every option gives the field of its own name, but for those that are found out here."""
    named = {
        name.replace("-", "_"): value for name, value in values.items() if name not in _NOT_THE_PIPELINES
    }
    budgets = {budget.name: named.pop(budget.name) for budget in fields(Budgets)}
    project: Path = named.pop("path")
    named["name"] = named["name"] or default_name(project)
    named["images"] = tuple(dict.fromkeys(image_of(str(one), named["name"]) for one in named["images"]))
    named["base_image"] = str(named["base_image"])
    named["compare_with"] = str(named["compare_with"])
    named["output"] = named["output"] or _root(project, here) / OUTPUT_NAME
    return Settings(
        project=project,
        platform=named.pop("platforms"),
        budgets=Budgets(**budgets),
        cache=named.pop("cache_dir") or _user_cache(),
        **named,
    )


def _root(project: Path, here: Path) -> Path:
    """The git repository that holds the project, otherwise the current folder."""
    return next((folder for folder in (project, *project.parents) if (folder / ".git").exists()), here)


def _user_cache() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("ml-containerize", appauthor=False)
