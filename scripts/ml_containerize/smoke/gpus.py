"""GPUs: what was asked for, what this machine has, and what a sandbox needs of the driver."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ml_containerize.errors import EnvironmentMissing, UsageError

_DRIVER = Path("proc/driver/nvidia/gpus")
_CONTROL = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset", "nvidia-caps")
_LIBRARY_FOLDERS = (
    "usr/lib/x86_64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
    "usr/lib64",
    "usr/lib",
    "usr/local/nvidia/lib64",
    "usr/lib/wsl/lib",
    "run/opengl-driver/lib",
)
_LIBRARIES = ("libcuda.so*", "libnvidia-*.so*", "libnvcuvid.so*", "libcudadebugger.so*")
UNKNOWN_MODEL = "NVIDIA GPU"


class BadGpus(UsageError):
    """A `gpus` value that means nothing."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f"gpus: {text!r} is not a request for GPUs",
            "Use auto, none, all, a number of GPUs, or device=0,1 (indices or UUIDs).",
        )


class GpuMissing(EnvironmentMissing):
    """GPUs were asked for, and the engine cannot give them."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"a GPU was asked for, but {why}",
            "Run it on a machine with an NVIDIA driver (Docker also needs the NVIDIA Container Toolkit), "
            "or use `gpus: auto` or `gpus: none`.",
        )


@dataclass(frozen=True, slots=True)
class GpuRequest:
    """`auto` (as many as there are), `none`, `all`, a `count`, or `devices` by index or UUID."""

    text: str = "auto"
    count: int = 0
    devices: tuple[str, ...] = ()

    @property
    def required(self) -> bool:
        """True where a container without them must not pass."""
        return self.text not in {"auto", "none"}

    @property
    def refused(self) -> bool:
        return self.text == "none"


def parse_gpus(text: str) -> GpuRequest:
    """Read `auto`, `none`, `all`, `2` or `device=0,GPU-…`; raises BadGpus."""
    if text in {"auto", "none", "all"}:
        return GpuRequest(text)
    if re.fullmatch(r"[1-9][0-9]{0,2}", text):
        return GpuRequest(text, count=int(text))
    key, _, devices = text.partition("=")
    names = tuple(devices.split(","))
    if key != "device" or not all(names):
        raise BadGpus(text)
    return GpuRequest(text, devices=names)


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU of this machine, with the number of its device file."""

    minor: int
    model: str = UNKNOWN_MODEL
    uuid: str = ""


def find_gpus(root: Path = Path("/")) -> tuple[Gpu, ...]:
    """The machine's GPUs in the driver's order, which is that of their bus addresses."""
    told = [_read_facts(path) for path in sorted((root / _DRIVER).glob("*/information"))]
    if told:
        return tuple(gpu for gpu in told if (root / f"dev/nvidia{gpu.minor}").exists())
    found = (re.fullmatch(r"nvidia([0-9]+)", path.name) for path in (root / "dev").glob("nvidia[0-9]*"))
    return tuple(Gpu(minor) for minor in sorted(int(match[1]) for match in found if match))


def _read_facts(path: Path) -> Gpu:
    pairs = (line.partition(":") for line in path.read_text(errors="replace").splitlines())
    facts = {key.strip(): value.strip() for key, _, value in pairs}
    minor = facts.get("Device Minor", "0")
    return Gpu(
        int(minor) if minor.isdigit() else 0, facts.get("Model", UNKNOWN_MODEL), facts.get("GPU UUID", "")
    )


def choose_gpus(request: GpuRequest, there: Sequence[Gpu]) -> tuple[Gpu, ...]:
    """The GPUs that answer a request; raises GpuMissing."""
    if request.refused:
        return ()
    if request.required and not there:
        raise GpuMissing("this machine has no NVIDIA device files (/dev/nvidia0)")
    if request.count > len(there):
        raise GpuMissing(f"{request.count} are wanted and this machine has {len(there)}")
    if request.devices:
        return tuple(_by_name(name, there) for name in request.devices)
    return tuple(there[: request.count or None])


def _by_name(name: str, there: Sequence[Gpu]) -> Gpu:
    for index, gpu in enumerate(there):
        if name == str(index) or (name.startswith("GPU-") and gpu.uuid.startswith(name)):
            return gpu
    raise GpuMissing(f"there is no device {name} among this machine's {len(there)}")


def describe_gpus(gpus: Sequence[Gpu]) -> str:
    """`2 x NVIDIA L4`; "none" without any."""
    models = [gpu.model for gpu in gpus]
    counted = ((models.count(model), model) for model in dict.fromkeys(models))
    return ", ".join(f"{count} x {model}" if count > 1 else model for count, model in counted) or "none"


def device_files(gpus: Sequence[Gpu], root: Path = Path("/")) -> tuple[Path, ...]:
    """The device files that a program needs to use these GPUs."""
    names = (*_CONTROL, *(f"nvidia{gpu.minor}" for gpu in gpus))
    return tuple(path for name in names if (path := root / "dev" / name).exists())


def driver_libraries(root: Path = Path("/")) -> tuple[Path, ...]:
    """The driver's user-space libraries, which must match the kernel module; the first of each name."""
    found: dict[str, Path] = {}
    for path in _library_paths(root):
        found.setdefault(path.name, path)
    return tuple(found.values())


def _library_paths(root: Path) -> Iterator[Path]:
    for folder in _LIBRARY_FOLDERS:
        for pattern in _LIBRARIES:
            yield from sorted((root / folder).glob(pattern))
