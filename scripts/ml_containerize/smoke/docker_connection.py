"""Finding the container engine of this machine, and its exceptions as ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import docker
from docker.errors import DockerException
from requests.exceptions import RequestException

from ml_containerize.smoke.engine import EngineUnusable

_REMOTE = frozenset({"ssh", "tcp", "http", "https"})
_HELLO_SECONDS = 15
_API_SECONDS = 120


class EngineNotRunning(EngineUnusable):
    """No container engine answers."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(
            f"no container engine answers at {where} ({reason})",
            "Start Docker, or podman's socket with DOCKER_HOST set to it, and check with `docker version`; "
            "or use `engine: embedded`, which needs none.",
        )


class EngineRemote(EngineUnusable):
    """The engine is on another machine, which can reach neither our registry nor we its containers."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"the container engine is on another machine ({host}), and the image is here",
            "Run this on that machine, unset DOCKER_HOST to use an engine of this one, "
            "or use `engine: embedded`.",
        )


class EngineFailed(EngineUnusable):
    """The engine broke off in the middle."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the container engine failed: {reason}", "See the engine's own log and try again.")


@dataclass(frozen=True, slots=True)
class Connection:
    """The SDK's client, the engine's name and version, and what it says of itself."""

    api: Any
    name: str
    info: Mapping[str, Any]

    @property
    def is_podman(self) -> bool:
        return self.name.startswith("podman")


def connect(environ: Mapping[str, str]) -> Connection:
    """To the engine that DOCKER_HOST or the Docker context names; raises EngineNotRunning or EngineRemote."""
    host = environ.get("DOCKER_HOST", "")
    _require_local(host)
    try:
        api = docker.from_env(environment=dict(environ), timeout=_HELLO_SECONDS, version="auto").api
        version, info = api.version(), api.info()
    except (DockerException, RequestException) as error:
        raise EngineNotRunning(host or "the default socket", _root_cause(error)) from error
    _require_local(api.base_url)
    if info.get("OSType", "linux") != "linux":
        raise EngineFailed(f"it runs {info['OSType']} containers, not Linux ones")
    api.timeout = _API_SECONDS
    return Connection(api, name_of(version), info)


def _require_local(host: str) -> None:
    """Raise EngineRemote for an address that is not this machine's."""
    parts = urlsplit(host)
    if parts.scheme in _REMOTE and parts.hostname not in {"localhost", "127.0.0.1", "::1"}:
        raise EngineRemote(host)


def name_of(version: Mapping[str, Any]) -> str:
    """`docker 28.2.2` or `podman 5.4.0`, from the answer to GET /version."""
    components = [part.get("Name", "") for part in version.get("Components") or ()]
    podman = any("podman" in name.lower() for name in components)
    return f"{'podman' if podman else 'docker'} {version.get('Version', '')}".strip()


def _root_cause(error: BaseException) -> str:
    """The system's own words, from inside the SDK's wrapping."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, OSError) and inner.strerror:
            return inner.strerror.lower()
        inner = inner.__cause__ or inner.__context__
    return str(error)


@contextmanager
def translated() -> Iterator[None]:
    """Turn the SDK's exceptions into ours."""
    try:
        yield
    except (DockerException, RequestException) as error:
        raise EngineFailed(_root_cause(error)) from error
