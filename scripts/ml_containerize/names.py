"""The names of the field as values: what exists has been parsed, and a tag is never a digest."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from ml_containerize.errors import UsageError

_HEX64 = re.compile(r"[0-9a-f]{64}")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_PATH_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_PATH_PART}(?:/{_PATH_PART})*")
_REGISTRY = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?")
_LOOPBACK = re.compile(r"localhost|::1|\[::1\]|127(?:\.[0-9]{1,3}){3}")
_GIT_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_PLATFORM = re.compile(r"[a-z0-9]+/[a-z0-9_]+(?:/[a-z0-9]+)?")

DOCKER_HUB = "docker.io"


def _require(pattern: re.Pattern[str], text: str, what: str) -> str:
    if not pattern.fullmatch(text):
        raise UsageError(f"{text!r} is not {what}")
    return text


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A SHA-256 content digest, `sha256:<64 hex>` (OCI image specification, descriptor, "Digests")."""

    hex: str

    def __post_init__(self) -> None:
        _require(_HEX64, self.hex, "a SHA-256 in hexadecimal")

    @classmethod
    def parse(cls, text: str) -> Digest:
        algorithm, _, value = text.partition(":")
        if algorithm != "sha256":
            raise UsageError(f"{text!r} is not a digest of the form sha256:<64 hex>")
        return cls(value)

    @classmethod
    def of(cls, content: bytes) -> Digest:
        return cls(hashlib.sha256(content).hexdigest())

    def __str__(self) -> str:
        return f"sha256:{self.hex}"


def is_loopback(host: str) -> bool:
    """True for names and addresses of this machine's loopback; `127.example.org` is none."""
    return bool(_LOOPBACK.fullmatch(host))


@dataclass(frozen=True, slots=True, order=True)
class Repository:
    """A repository in a registry, such as `ghcr.io/org/digits`."""

    registry: str
    path: str

    def __post_init__(self) -> None:
        _require(_REGISTRY, self.registry, "a registry host")
        _require(_PATH, self.path, "a repository name (lower case letters, digits, '.', '_', '-' and '/')")

    @classmethod
    def parse(cls, text: str) -> Repository:
        """Read a name as Docker does: no host means Docker Hub, one word means its `library/`."""
        host, slash, rest = text.partition("/")
        if not slash or not ("." in host or ":" in host or host == "localhost"):
            return cls(DOCKER_HUB, text if slash else f"library/{text}")
        return cls(host, rest if host != DOCKER_HUB or "/" in rest else f"library/{rest}")

    @property
    def is_loopback(self) -> bool:
        host = self.registry.rsplit(":", 1)[0] if not self.registry.endswith("]") else self.registry
        return is_loopback(host)

    def tag(self, tag: str) -> TagReference:
        return TagReference(self, tag)

    def at(self, digest: Digest) -> DigestReference:
        return DigestReference(self, digest)

    def __str__(self) -> str:
        return f"{self.registry}/{self.path}"


@dataclass(frozen=True, slots=True, order=True)
class TagReference:
    """A name that can move: `repository:tag`."""

    repository: Repository
    name: str

    def __post_init__(self) -> None:
        _require(_TAG, self.name, "a tag (letters, digits, '_', '.', '-', at most 128)")

    def __str__(self) -> str:
        return f"{self.repository}:{self.name}"


@dataclass(frozen=True, slots=True, order=True)
class DigestReference:
    """A name that cannot move: `repository@sha256:…`."""

    repository: Repository
    digest: Digest

    def __str__(self) -> str:
        return f"{self.repository}@{self.digest}"


Reference = TagReference | DigestReference


def parse_reference(text: str) -> Reference:
    """Read `name[:tag][@digest]`; a digest wins over a tag, no tag means `latest`."""
    name, at, digest = text.partition("@")
    head, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        head, tag = name, "latest"
    repository = Repository.parse(head)
    return repository.at(Digest.parse(digest)) if at else repository.tag(tag)


def is_tag(text: str) -> bool:
    return bool(_TAG.fullmatch(text))


@dataclass(frozen=True, slots=True)
class GitSha:
    """A full git commit id, SHA-1 or SHA-256."""

    hex: str

    def __post_init__(self) -> None:
        _require(_GIT_SHA, self.hex, "a full git commit id")

    @property
    def short(self) -> str:
        return self.hex[:12]

    def __str__(self) -> str:
        return self.hex


@dataclass(frozen=True, slots=True)
class ModelHash:
    """SHA-256 over the sorted lines `<sha256>  <path>\\n` of the model's files."""

    hex: str

    def __post_init__(self) -> None:
        _require(_HEX64, self.hex, "a SHA-256 in hexadecimal")

    @property
    def short(self) -> str:
        return self.hex[:12]

    def __str__(self) -> str:
        return self.hex


@dataclass(frozen=True, slots=True)
class EnvironmentKey:
    """SHA-256 over everything an environment is made of; its image is found under the tag `env-<key>`."""

    hex: str

    def __post_init__(self) -> None:
        _require(_HEX64, self.hex, "a SHA-256 in hexadecimal")

    @property
    def short(self) -> str:
        return self.hex[:12]

    @property
    def tag(self) -> str:
        return f"env-{self.hex[:32]}"

    def __str__(self) -> str:
        return self.hex


@dataclass(frozen=True, slots=True)
class Platform:
    """An operating system and processor, `linux/amd64` or `linux/arm/v7` (OCI image index, `platform`)."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Platform:
        _require(_PLATFORM, text, "a platform such as linux/amd64")
        return cls(*text.split("/"))

    def matches(self, other: Platform) -> bool:
        """True where `other` can serve as this platform; arm64's variant v8 is its only one."""
        same = (self.os, self.architecture) == (other.os, other.architecture)
        return same and (self.variant == other.variant or not self.variant or self.architecture == "arm64")

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


@dataclass(frozen=True, slots=True)
class BaseReference:
    """The base image: the name people know, its digest, and a reference or layout folder to find it at."""

    name: str
    digest: Digest
    where: str
