"""A running container, watched through the engine's API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from docker.errors import APIError, DockerException
from requests.exceptions import RequestException

from ml_containerize.smoke.engine import LOG_BYTES
from ml_containerize.smoke.status import describe_status


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
