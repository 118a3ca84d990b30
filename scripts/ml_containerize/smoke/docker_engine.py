"""Run an image with Docker, or with podman behind its Docker-compatible socket."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from secrets import token_hex
from typing import Any

from docker.errors import APIError, NotFound

from ml_containerize.console import Console
from ml_containerize.names import DigestReference
from ml_containerize.oci.image import Image
from ml_containerize.smoke.cleanup import uninterrupted
from ml_containerize.smoke.docker_connection import Connection, connect, translated
from ml_containerize.smoke.docker_gpus import describe, device_requests, is_gpu_error
from ml_containerize.smoke.docker_images import pulled
from ml_containerize.smoke.docker_server import DockerServer
from ml_containerize.smoke.engine import (
    PORT_ATTEMPTS,
    Limits,
    NoFreePort,
    PortTaken,
    Server,
    StartFailed,
)
from ml_containerize.smoke.gpus import GpuMissing, GpuRequest
from ml_containerize.smoke.owner import is_gone, owner
from ml_containerize.smoke.process import port_of

LABEL = "io.ml-containerize.owner"
_PORT_ERRORS = ("port is already allocated", "address already in use", "ports are not available")
_MEMORY_SHARE = 0.9  # of the engine's memory: what is left keeps the machine usable


def open_docker(environ: Mapping[str, str], console: Console) -> DockerEngine:
    """The engine of this machine; raises EngineNotRunning or EngineRemote."""
    return DockerEngine(connect(environ), console)


@dataclass(frozen=True, slots=True)
class DockerEngine:
    """An engine that the SDK is connected to."""

    connection: Connection
    console: Console

    @property
    def api(self) -> Any:
        return self.connection.api

    @property
    def name(self) -> str:
        return self.connection.name

    @property
    def notices(self) -> tuple[str, ...]:
        """An engine without root's rights may lack the control groups for its limits."""
        limits = {"MemoryLimit": "memory", "PidsLimit": "processes"}
        missing = [what for key, what in limits.items() if self.connection.info.get(key) is False]
        return (f"{self.name} cannot limit {' or '.join(missing)}",) if missing else ()

    @contextmanager
    def run(self, image: Image, gpus: GpuRequest, port: int = 0) -> Iterator[Server]:
        """Pull by digest, start with nothing that the image does not need, and remove it all at the end."""
        name = f"ml-containerize-{token_hex(6)}"
        with translated():
            self._remove_leftovers()
            with pulled(self.api, image, self.console, podman=self.connection.is_podman) as reference:
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
        if self.connection.is_podman and gpus.required:
            raise GpuMissing(f"{self.name} gives none through its Docker-compatible API")
        return [] if self.connection.is_podman else device_requests(gpus, self.connection.info)

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
        limits = Limits(memory=int(self.connection.info.get("MemTotal", 0) * _MEMORY_SHARE) or None)
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
