"""The bubblewrap command that runs an image, and what to do where the machine forbids it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ml_containerize.command import Run
from ml_containerize.smoke.engine import EngineUnusable
from ml_containerize.smoke.process import Process

Proc = Literal["own", "shared"]

LIBRARY_FOLDER = "/usr/local/nvidia/lib64"  # where the NVIDIA images' loaders look too
_SYSCTL = Path("/proc/sys")
_APPARMOR = "kernel/apparmor_restrict_unprivileged_userns"


class SandboxForbidden(EngineUnusable):
    """This machine does not let bubblewrap make its namespaces; says why and who can change it."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A process over read-only folders, the lowest first; device files and libraries are the GPU driver's."""

    folders: tuple[Path, ...]
    process: Process
    port: int
    proc: Proc = "own"
    devices: tuple[Path, ...] = ()
    libraries: tuple[Path, ...] = ()
    extra_env: Mapping[str, str] = field(default_factory=dict)

    def arguments(self) -> list[str]:
        """bubblewrap's arguments, the command included."""
        process = self.process
        return [
            *_namespaces(process.uid, process.gid, self.proc),
            *_overlay(self.folders, "/"),
            *_kernel_folders(self.proc),
            *_bind("--dev-bind", ((path, str(path)) for path in self.devices)),
            *_libraries(self.libraries),
            *("--remount-ro", "/dev"),
            *_environment({**process.env, **self.extra_env, "HOST": "127.0.0.1", "PORT": str(self.port)}),
            *("--chdir", process.working_dir, "--", *process.argv),
        ]


def _namespaces(uid: int, gid: int, proc: Proc) -> list[str]:
    """Own namespaces but the network's, through which the server is reached; no capability, also for root.

    The process cannot make user namespaces of its own, in which it would have all capabilities; that needs a
    /proc whose settings can be written.
    """
    return [
        *(("--disable-userns",) if proc == "own" else ()),
        *("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"),
        *("--uid", str(uid), "--gid", str(gid), "--cap-drop", "ALL", "--hostname", "ml-containerize"),
        *("--die-with-parent", "--new-session", "--as-pid-1"),
    ]


def _overlay(folders: Sequence[Path], target: str) -> list[str]:
    sources = [word for folder in folders for word in ("--overlay-src", str(folder))]
    return [*sources, "--ro-overlay", target]


def _kernel_folders(proc: Proc) -> list[str]:
    """/proc, /sys, /dev with its shared memory, and /tmp: all that a process may write to is in memory."""
    own = ("--proc", "/proc") if proc == "own" else ("--ro-bind", "/proc", "/proc")
    shared_memory = ("--perms", "1777", "--tmpfs", "/dev/shm")  # noqa: S108
    scratch = ("--perms", "1777", "--tmpfs", "/tmp")  # noqa: S108
    return [*own, "--ro-bind-try", "/sys", "/sys", "--dev", "/dev", *shared_memory, *scratch]


def _libraries(paths: Sequence[Path]) -> list[str]:
    """The driver's libraries in a folder in memory: a mount point cannot be made on a read-only overlay."""
    if not paths:
        return []
    bound = _bind("--ro-bind", ((path, f"{LIBRARY_FOLDER}/{path.name}") for path in paths))
    return ["--tmpfs", LIBRARY_FOLDER, *bound, "--remount-ro", LIBRARY_FOLDER]


def _bind(option: str, pairs: Iterable[tuple[Path, str]]) -> list[str]:
    return [word for source, target in pairs for word in (option, str(source), target)]


def _environment(env: Mapping[str, str]) -> list[str]:
    return ["--clearenv", *(word for name, value in env.items() for word in ("--setenv", name, value))]


def probe(bwrap: Path, run: Run, sysctl: Callable[[str], str]) -> Proc:
    """Try an empty sandbox; raises SandboxForbidden with the reason.

    In a container whose /proc has covered parts the kernel refuses a new one; then the one that is there must
    serve.
    """
    with tempfile.TemporaryDirectory(prefix="ml-containerize-") as folder:
        own = _try(bwrap, Path(folder), "own", run)
        if not own:
            return "own"
        if not _try(bwrap, Path(folder), "shared", run):
            return "shared"
    raise SandboxForbidden(
        f"user namespaces are forbidden here, which the embedded engine needs ({own})", _advice(own, sysctl)
    )


def _try(bwrap: Path, folder: Path, proc: Proc, run: Run) -> str:
    """Why the sandbox could not be made; "" where it could."""
    lower, upper = folder / "lower", folder / "upper"
    lower.mkdir(exist_ok=True)
    upper.mkdir(exist_ok=True)
    argv = [
        str(bwrap),
        *_namespaces(65532, 65532, proc),
        *("--ro-bind", "/", "/"),
        *_overlay((lower, upper), str(lower)),
        *_kernel_folders(proc)[: 2 if proc == "own" else 3],
        *("--", str(bwrap), "--version"),
    ]
    done = run(argv, timeout=30)
    return "" if done.ok else done.stderr.strip() or f"bubblewrap ended with status {done.status}"


def read_sysctl(name: str) -> str:
    """A kernel setting's value; "" where the kernel does not have it."""
    try:
        return (_SYSCTL / name).read_text().strip()
    except OSError:
        return ""


def _advice(reason: str, sysctl: Callable[[str], str]) -> str:
    docker = "or use a container engine (`engine: docker`)."
    if sysctl(_APPARMOR) == "1":
        return (
            "AppArmor restricts user namespaces (Ubuntu 23.10 and newer): "
            f"`sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0` allows them, {docker}"
        )
    if sysctl("kernel/unprivileged_userns_clone") == "0":
        return f"`sudo sysctl -w kernel.unprivileged_userns_clone=1` allows them, {docker}"
    if sysctl("user/max_user_namespaces") == "0":
        return f"`sudo sysctl -w user.max_user_namespaces=10000` allows them, {docker}"
    if "overlay" in reason:
        return f"Overlays for users need Linux 5.11 or newer: use a newer kernel, {docker}"
    return (
        "In a container, its seccomp profile forbids them: start that container with one that allows unshare "
        f"and mount (Docker: --security-opt seccomp=unconfined), {docker}"
    )
