"""GPUs for containers of Docker and podman."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from docker.errors import APIError
from docker.types import DeviceRequest

from ml_containerize.smoke.gpus import UNKNOWN_MODEL, GpuRequest, find_gpus

_CDI_KIND = "nvidia.com/gpu"  # container device interface, the NVIDIA toolkit's device kind
_ERRORS = (
    "could not select device driver",
    "nvidia-container-cli",
    "cdi device",
    "libnvidia-ml",
    "runtime name: nvidia",
)
_ASK = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]


def device_requests(gpus: GpuRequest, info: Mapping[str, Any]) -> list[DeviceRequest]:
    """What to ask of the engine; nothing where none is wanted, or `auto` finds no sign of one."""
    runtime = "nvidia" in (info.get("Runtimes") or {})
    cdi = _cdi_devices(info)
    if gpus.refused or (not gpus.required and not (runtime or cdi or find_gpus())):
        return []
    if cdi and not runtime:
        return [DeviceRequest(driver="cdi", device_ids=_cdi_names(gpus, cdi))]
    if gpus.devices:
        return [DeviceRequest(device_ids=list(gpus.devices), capabilities=[["gpu"]])]
    return [DeviceRequest(count=gpus.count or -1, capabilities=[["gpu"]])]


def _cdi_devices(info: Mapping[str, Any]) -> list[str]:
    """The GPUs that the engine found in CDI specifications, without their kind (from Docker 28.2 on)."""
    found = [str(device.get("ID", "")) for device in info.get("DiscoveredDevices") or ()]
    return [name.partition("=")[2] for name in found if name.startswith(f"{_CDI_KIND}=")]


def _cdi_names(gpus: GpuRequest, there: Sequence[str]) -> list[str]:
    single = [name for name in there if name.isdigit()]
    wanted = gpus.devices or (tuple(single[: gpus.count]) if gpus.count else ("all",))
    return [f"{_CDI_KIND}={name}" for name in wanted]


def is_gpu_error(reason: str) -> bool:
    return any(sign in reason.lower() for sign in _ERRORS)


def describe(api: Any, container: str) -> str:
    """The models of the GPUs in a container, by its nvidia-smi, which the NVIDIA toolkit puts there."""
    with suppress(APIError):
        job = api.exec_create(container, _ASK)["Id"]
        output = api.exec_start(job).decode(errors="replace")
        if api.exec_inspect(job)["ExitCode"] == 0 and output.strip():
            return ", ".join(line.strip() for line in output.splitlines() if line.strip())
    return UNKNOWN_MODEL
