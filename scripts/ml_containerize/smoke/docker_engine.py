"""Run an image with Docker, or with podman behind its Docker-compatible socket."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from secrets import token_hex
from typing import Any
from urllib.parse import urlsplit

import docker
from docker.errors import APIError, DockerException, NotFound
from requests.exceptions import RequestException

from ml_containerize.console import Console
from ml_containerize.names import DigestReference
from ml_containerize.oci.image import Image
from ml_containerize.smoke.cleanup import uninterrupted
from ml_containerize.smoke.docker_gpus import describe, device_requests, is_gpu_error
from ml_containerize.smoke.docker_images import pulled
from ml_containerize.smoke.engine import (
    LOG_BYTES,
    PORT_ATTEMPTS,
    EngineUnusable,
    Limits,
    NoFreePort,
    PortTaken,
    Server,
    StartFailed,
)
from ml_containerize.smoke.gpus import GpuMissing, GpuRequest
from ml_containerize.smoke.owner import is_gone, owner
from ml_containerize.smoke.process import port_of
from ml_containerize.smoke.status import describe_status

LABEL = "io.ml-containerize.owner"
_REMOTE = frozenset({"ssh", "tcp", "http", "https"})
_PORT_ERRORS = ("port is already allocated", "address already in use", "ports are not available")
_API_SECONDS = 120
_MEMORY_SHARE = 0.9  # of the engine's memory: what is left keeps the machine usable


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


def open_docker(environ: Mapping[str, str], console: Console) -> DockerEngine:
    """The engine that DOCKER_HOST or the Docker context names; raises EngineNotRunning or EngineRemote."""
    host = environ.get("DOCKER_HOST", "")
    _require_local(host)
    try:
        api = docker.from_env(environment=dict(environ), timeout=_API_SECONDS, version="auto").api
        version, info = api.version(), api.info()
    except (DockerException, RequestException) as error:
        raise EngineNotRunning(host or "the default socket", _root_cause(error)) from error
    _require_local(api.base_url)
    if info.get("OSType", "linux") != "linux":
        raise EngineFailed(f"it runs {info['OSType']} containers, not Linux ones")
    return DockerEngine(api, _name(version), info, console)


def _require_local(host: str) -> None:
    """Raise EngineRemote for an address that is not this machine's."""
    parts = urlsplit(host)
    if parts.scheme in _REMOTE and parts.hostname not in {"localhost", "127.0.0.1", "::1"}:
        raise EngineRemote(host)


def _name(version: Mapping[str, Any]) -> str:
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


@dataclass(slots=True)
class DockerServer:
    """A started container, known by the name that it was given."""

    api: Any
    name: str
    gpu: str
    started: float
    url: str = ""

    def ended(self) -> str:
        state = self.api.inspect_container(self.name)["State"]
        if state.get("Running"):
            return ""
        memory = " (out of memory)" if state.get("OOMKilled") else ""
        return f"{describe_status(int(state.get('ExitCode', 0)))}{memory}"

    def lost_port(self) -> bool:
        return False  # the engine itself holds the port, or refuses to start the container

    def log(self) -> str:
        with suppress(APIError):  # some log drivers cannot be read
            content: bytes = self.api.logs(self.name, tail=500)
            return content[-LOG_BYTES:].decode(errors="replace")
        return ""

    def follow(self) -> Iterator[str]:
        for chunk in self.api.logs(self.name, stream=True, follow=True):
            yield chunk.decode(errors="replace")

    def memory(self) -> int | None:
        with suppress(DockerException, RequestException):
            return memory_of(self.api.stats(self.name, stream=False, one_shot=True))
        return None


def memory_of(stats: Mapping[str, Any]) -> int | None:
    """Bytes of anonymous and shared memory, as the other engine counts them; None where nothing is told.

    Pages of files are left out: which container pays for a library's pages depends on who read them first.
    """
    told = stats.get("memory_stats") or {}
    details = told.get("stats") or {}
    if "anon" in details:  # cgroup v2
        return int(details["anon"]) + int(details.get("shmem", 0))
    if "total_rss" in details:  # cgroup v1
        return int(details["total_rss"]) + int(details.get("total_shmem", 0))
    return int(told["usage"]) if "usage" in told else None


@dataclass(frozen=True, slots=True)
class DockerEngine:
    """An engine behind the SDK's API client; `info` is what it says of itself."""

    api: Any
    name: str
    info: Mapping[str, Any]
    console: Console

    @property
    def notices(self) -> tuple[str, ...]:
        return ()

    @property
    def is_podman(self) -> bool:
        return self.name.startswith("podman")

    @contextmanager
    def run(self, image: Image, gpus: GpuRequest, port: int = 0) -> Iterator[Server]:
        """Pull by digest, start with nothing that the image does not need, and remove it all at the end."""
        name = f"ml-containerize-{token_hex(6)}"
        with _translated():
            self._remove_leftovers()
            with pulled(self.api, image, self.console, podman=self.is_podman) as reference:
                try:
                    yield self._start(name, reference, image, gpus, port)
                finally:
                    with uninterrupted():
                        self._remove(name)

    def _start(
        self, name: str, reference: DigestReference, image: Image, gpus: GpuRequest, port: int
    ) -> DockerServer:
        requests = self._device_requests(gpus)
        try:
            return self._start_on_a_port(name, reference, image, requests, port)
        except GpuMissing:
            if gpus.required:
                raise
            self._remove(name)
            self.console.info("the engine has a GPU but cannot give it to containers: going on without")
            return self._start_on_a_port(name, reference, image, [], port)

    def _device_requests(self, gpus: GpuRequest) -> list[Any]:
        """podman takes such a request and gives nothing, which must not pass for a GPU."""
        if self.is_podman and gpus.required:
            raise GpuMissing(f"{self.name} gives none through its Docker-compatible API")
        return [] if self.is_podman else device_requests(gpus, self.info)

    def _start_on_a_port(
        self, name: str, reference: DigestReference, image: Image, requests: list[Any], port: int
    ) -> DockerServer:
        inside = port_of(image.config)
        for _ in range(PORT_ATTEMPTS):
            self._create(name, reference, inside, requests, port)
            started = time.monotonic()
            try:
                self.api.start(name)
            except APIError as error:
                self._explain(error, port)
                self._remove(name)
                continue
            server = DockerServer(self.api, name, "none", started, self._url(name, inside))
            if requests:
                server.gpu = describe(self.api, name)
            return server
        raise NoFreePort

    def _create(
        self, name: str, reference: DigestReference, inside: int, requests: list[Any], port: int
    ) -> None:
        limits = Limits(memory=int(self.info.get("MemTotal", 0) * _MEMORY_SHARE) or None)
        self.api.create_container(
            str(reference),
            name=name,
            labels={LABEL: owner()},
            ports=[inside],
            host_config=self.api.create_host_config(
                read_only=True,
                cap_drop=["ALL"],
                security_opt=["no-new-privileges"],
                tmpfs={"/tmp": "rw,nosuid,nodev,exec,mode=1777"},  # noqa: S108
                mem_limit=limits.memory,
                memswap_limit=limits.memory,
                pids_limit=limits.processes,
                port_bindings={inside: ("127.0.0.1", port or None)},
                device_requests=requests,
            ),
        )

    def _explain(self, error: APIError, port: int) -> None:
        """Return where another port may help; raises what else keeps a container from starting."""
        reason = str(error.explanation or error)
        if any(sign in reason.lower() for sign in _PORT_ERRORS):
            if port:
                raise PortTaken(port) from error
            return
        if is_gpu_error(reason):
            raise GpuMissing(f"{self.name} cannot give one to a container: {reason}") from error
        raise StartFailed(f"{self.name} could not start the container: {reason}") from error

    def _url(self, name: str, inside: int) -> str:
        """Where the engine published the port; a container that ended at once has none any more."""
        bindings = self.api.inspect_container(name)["NetworkSettings"]["Ports"] or {}
        published = bindings.get(f"{inside}/tcp") or [{"HostPort": "0"}]
        return f"http://127.0.0.1:{published[0]['HostPort']}"

    def _remove(self, name: str) -> None:
        try:
            self.api.remove_container(name, force=True, v=True)
        except NotFound:
            return
        except APIError as error:
            self.console.warn(f"the container {name} could not be removed: {error.explanation or error}")

    def _remove_leftovers(self) -> None:
        """Remove the containers, and their image's names, of commands that were killed."""
        for container in self.api.containers(all=True, filters={"label": LABEL}):
            if is_gone(container["Labels"].get(LABEL, "")):
                self._remove(container["Id"])
                with suppress(APIError):
                    self.api.remove_image(container["Image"])


@contextmanager
def _translated() -> Iterator[None]:
    """Turn the SDK's exceptions into ours."""
    try:
        yield
    except (DockerException, RequestException) as error:
        raise EngineFailed(_root_cause(error)) from error
