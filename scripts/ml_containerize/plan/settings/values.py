"""How an option's text becomes a value of the field: names, platforms, durations, labels."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from ml_containerize.names import DigestReference, Platform, Repository, is_tag, parse_reference
from ml_containerize.plan.settings.kinds import Kind, Parsed
from ml_containerize.plan.settings.problems import Problem, Wrong
from ml_containerize.results import Json

OWN_LABELS = (
    "io.ml-containerize.",
    "org.opencontainers.image.base.",
    "org.opencontainers.image.created",
    "org.opencontainers.image.revision",
)
RESERVED_TAG = re.compile(
    r"(?:env-[0-9a-f]{32}|(?:sha-[0-9a-f]{12}-)?model-[0-9a-f]{12}|sha256-[0-9a-f]{64})"
)
NAME = "{name}"  # in an image's name, the model's
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def repository(text: str) -> Repository:
    """An image's name, lower-cased as docker/metadata-action does: GitHub's owners may have capitals."""
    host, slash, path = text.partition("/")
    if "@" in text or ":" in path:
        raise ValueError(text)
    return Repository.parse(f"{host}{slash}{path.lower()}" if slash else text.lower())


def image_pattern(text: str) -> str:
    """An image's name in which `{name}` may stand for the model's."""
    repository(text.replace(NAME, "name"))
    return text


def image_of(pattern: str, name: str) -> Repository:
    """The image's name for the model of that name."""
    return repository(pattern.replace(NAME, name))


def published_image(text: str) -> DigestReference:
    """An image in a registry by its digest; a tag between name and digest says nothing and is dropped."""
    reference = parse_reference(text.lower())
    if not isinstance(reference, DigestReference):
        raise ValueError(text)
    return reference


def platform(text: str) -> Platform:
    """A Linux platform; there is no other kind of container that serves here."""
    parsed = Platform.parse(text)
    if parsed.os != "linux":
        raise ValueError(text)
    return parsed


def tag(text: str) -> str:
    """A tag that may move; raises Wrong for the form of one that this program gives itself."""
    if RESERVED_TAG.match(text):
        raise Wrong(Problem(f"{text!r} has the form of a tag that identifies an image or an environment"))
    if not is_tag(text):
        raise ValueError(text)
    return text


def seconds(text: str) -> float:
    """`90`, `90s`, `1.5m` or `1h`, in seconds."""
    match = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)([smh]?)", text)
    value = float(match[1]) * _UNITS.get(match[2], 1.0) if match else 0.0
    if not value:
        raise ValueError(text)
    return value


def inner_pattern(text: str) -> str:
    """A pattern of file names that cannot lead out of the folder that it is used in."""
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError(text)
    return text


def label_key(key: str) -> None:
    """Raises Wrong for a key that is none, or that states a fact which only the plan knows."""
    if key.startswith(OWN_LABELS):
        raise Wrong(Problem(f"the label {key!r} is taken from the plan and cannot be set"))
    if not re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?", key):
        raise Wrong(Problem(f"{key!r} is not a label's key (letters, digits, '.', '_', '-', '/')"))


class BaseImage(Kind):
    """A registry reference, or the path of a layout folder, which starts with `.`, `/` or `~`."""

    def text(self, text: str) -> str | Path:
        if text.startswith((".", "/", "~")):
            return Path(text)
        expected = "an image such as python:3.12-slim, or a layout folder such as ./base"
        return str(Parsed(expected, lambda name: parse_reference(name) and name).text(text))


class ComparedImage(BaseImage):
    """`auto`, `none`, or an image as `BaseImage` takes it."""

    def text(self, text: str) -> str | Path:
        return text if text in {"auto", "none"} else super().text(text)


class Seconds(Kind):
    """A duration: a number of seconds, or a text with a unit."""

    def text(self, text: str) -> object:
        return Parsed("a duration in seconds such as 90 or 2m", seconds).text(text)

    def yaml(self, value: object) -> object:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return self.text(f"{value:g}") if number else Kind.yaml(self, value)

    def schema(self) -> Json:
        return {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string"}]}
