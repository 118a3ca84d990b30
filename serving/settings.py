"""What the server reads from its environment, once, at the start."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path

from serving.errors import SettingWrong

_MIB = 2**20
SHARED_MEMORY = "/dev/shm"  # noqa: S108 - writable where the root file system is not
_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting, checked."""

    host: str
    port: int
    model_path: Path
    model_format: str  # "" detects it
    threads: int
    max_body: int  # bytes
    max_rows: int
    graceful_timeout: int  # seconds for requests under way when the server is told to stop
    about: Mapping[str, str]  # what `GET /` says besides the signature


def read_settings(environ: Mapping[str, str], cpus: int) -> Settings:
    """Read HOST, PORT, MODEL_PATH and the rest of the table in this module; raises SettingWrong."""
    whole = _whole_numbers(environ)
    return Settings(
        host=environ.get("HOST") or "0.0.0.0",  # noqa: S104 - a container is reached from outside
        port=whole("PORT", 8080, 0, 65535),
        model_path=Path(environ.get("MODEL_PATH") or "/opt/ml/model"),
        model_format=environ.get("MODEL_FORMAT", ""),
        threads=whole("THREADS", max(8, 2 * cpus), 1, 512),
        max_body=whole("MAX_BODY_MIB", 16, 1, 2048) * _MIB,
        max_rows=whole("MAX_ROWS", 4096, 1, 2**31 - 1),
        graceful_timeout=whole("GRACEFUL_TIMEOUT", 25, 0, 3600),
        about={
            key: environ[name]
            for key, name in (("name", "MODEL_NAME"), ("model_hash", "MODEL_HASH"), ("git_sha", "GIT_SHA"))
            if environ.get(name)
        },
    )


def _whole_numbers(environ: Mapping[str, str]) -> Callable[[str, int, int, int], int]:
    def whole(name: str, default: int, least: int, most: int) -> int:
        text = environ.get(name) or str(default)
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise SettingWrong(f"{name} is {text!r}, expected a whole number from {least} to {most}")
        return int(text)

    return whole


def usable_cpus(cgroup: Path = _CGROUP, available: int | None = None) -> int:
    """Processors this container may use: by affinity and by quota (cgroup v2 `cpu.max`, v1 `cpu.cfs_*`)."""
    available = available or len(os.sched_getaffinity(0))
    quota = _quota(cgroup)
    return available if quota is None else max(1, min(available, math.ceil(quota)))


def _quota(cgroup: Path) -> float | None:
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (cgroup / "cpu/cpu.cfs_quota_us").read_text().strip()
            period = (cgroup / "cpu/cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    return None if quota in ("max", "-1") else int(quota) / int(period)


def prepare_frameworks(environ: MutableMapping[str, str], cpus: int) -> None:
    """Set what TensorFlow and Keras read from the environment when they are imported; what is set stays."""
    for name, value in {
        "KERAS_BACKEND": "tensorflow",
        "KERAS_HOME": os.devnull + "/keras",  # no configuration file may change what a model computes
        "TF_CPP_MIN_LOG_LEVEL": "2",  # warnings and below are not this log's JSON
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "TF_NUM_INTEROP_THREADS": str(cpus),  # the host's processors otherwise, whatever the quota
        "TF_NUM_INTRAOP_THREADS": str(cpus),
    }.items():
        environ.setdefault(name, value)
    if not os.access("/tmp", os.W_OK):  # noqa: S108
        environ.setdefault("TMPDIR", SHARED_MEMORY)
