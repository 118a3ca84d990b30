"""One small interface over two ways to run an image: a container engine, or bubblewrap without one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from ml_containerize.console import Console
from ml_containerize.errors import EnvironmentMissing, SmokeError, UsageError
from ml_containerize.names import Platform
from ml_containerize.oci.image import Image
from ml_containerize.smoke.gpus import GpuRequest

DEFAULT_PORT = 8080  # inside the container, where the image exposes none
PORT_ATTEMPTS = 3
LOG_BYTES = 16 * 1024  # of a container's log, from its end

_Result = TypeVar("_Result")


class EngineUnusable(EnvironmentMissing):
    """An engine cannot run images on this machine; `engine: auto` goes on to the next one."""


class NoEngine(EnvironmentMissing):
    """No engine can run images on this machine."""

    def __init__(self, reasons: list[EngineUnusable]) -> None:
        what = "\n".join(("no engine can run the image here:", *(f"  {reason.what}" for reason in reasons)))
        super().__init__(what, "Do one of these: " + " Or: ".join(reason.fix for reason in reasons))


class ForeignPlatform(EnvironmentMissing):
    """The image is made for another processor than this machine's."""

    def __init__(self, image: Platform, engine: str) -> None:
        super().__init__(
            f"{engine} cannot run programs for {image} on this machine",
            "Run the smoke test on a machine of that architecture, or install QEMU's binfmt handlers.",
        )


class PortTaken(UsageError):
    """The port that was asked for belongs to another program."""

    def __init__(self, port: int) -> None:
        super().__init__(
            f"port {port} on 127.0.0.1 is taken by another program",
            "Choose another with --port, or leave --port out for a free one.",
        )


class NoFreePort(EnvironmentMissing):
    """Other programs took every port that was tried."""

    def __init__(self) -> None:
        super().__init__(
            f"other programs took {PORT_ATTEMPTS} free ports in a row before the container could listen",
            "Run it again when the machine is less busy.",
        )


class StartFailed(SmokeError):
    """The engine could not start the container, or the container ended before it was ready."""

    def __init__(self, what: str, log: str = "") -> None:
        fix = "The log above is the container's own; correct what it complains about."
        super().__init__(what, fix if log else "Look at the image's entrypoint, user and working folder.")
        self.log = log


@dataclass(frozen=True, slots=True)
class Limits:
    """What a container may use: bytes of memory (None: no limit) and processes with their threads."""

    memory: int | None = None
    processes: int = 4096


class Server(Protocol):
    """A started image; `started` is the clock's (time.monotonic) reading just before it was started."""

    @property
    def url(self) -> str:
        """Where it will answer, such as http://127.0.0.1:49213."""

    @property
    def gpu(self) -> str:
        """The GPUs that it was given, by model; "none" without any."""

    @property
    def started(self) -> float: ...

    def ended(self) -> str:
        """How it ended, in words; "" while it runs."""

    def lost_port(self) -> bool:
        """True where another program listens on its port."""

    def log(self) -> str:
        """The end of what it printed, at most LOG_BYTES."""

    def follow(self) -> Iterator[str]:
        """All that it prints, from its start until it ends."""

    def memory(self) -> int | None:
        """Bytes that it uses now; None where that cannot be measured. May be called from any thread."""


class Engine(Protocol):
    """Something that runs images; `notices` say what it cannot enforce."""

    @property
    def name(self) -> str: ...

    @property
    def notices(self) -> tuple[str, ...]: ...

    def run(self, image: Image, gpus: GpuRequest, port: int = 0) -> AbstractContextManager[Server]:
        """Start `image` on a loopback port (0: a free one); nothing of it is left when the context ends.

        Raises StartFailed, GpuMissing, PortTaken, NoFreePort or EngineUnusable.
        """


Open = Callable[[], Engine]  # raises EngineUnusable


def with_engine(
    asked: str, engines: Mapping[str, Open], work: Callable[[Engine], _Result], console: Console
) -> _Result:
    """Do `work` with the engine that was asked for; `auto` means the first that is usable, in their order."""
    if asked != "auto":
        return work(engines[asked]())
    reasons = []
    for open_engine in engines.values():
        try:
            return work(open_engine())
        except EngineUnusable as reason:
            reasons.append(reason)
            console.info(reason.what)
    raise NoEngine(reasons)
