"""What the server reads from its environment, once, at the start."""

from __future__ import annotations

import math
import os
import re
import tempfile
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path

from serving.batching import BatchSettings
from serving.errors import SettingWrong

_MIB = 2**20
SHARED_MEMORY = "/dev/shm"  # noqa: S108 - writable where the root file system is not
_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting, checked; times in seconds, sizes in bytes."""

    host: str
    port: int
    model_path: Path
    model_format: str  # "" detects it
    model_name: str
    model_version: str
    signature_name: str  # "" is the model's own default
    workers: int
    max_body: int
    max_rows: int
    body_timeout: float
    request_timeout: float  # how long a request may wait for the model
    graceful_timeout: int  # for requests under way when the server is told to stop
    shutdown_delay: int  # between "not ready" and the end, for load balancers to notice
    batching: BatchSettings
    api_keys: Path | None
    access_log: bool
    request_log: str  # a file, "stdout", or "" for none
    request_log_sample: float
    request_log_payloads: bool
    health_route: str  # Vertex AI's, "" elsewhere
    predict_route: str
    about: Mapping[str, str]  # where the model comes from

    @property
    def address(self) -> str:
        """HOST:PORT as it stands in a URL (RFC 3986, section 3.2.2)."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Read HOST, PORT, MODEL_PATH and the rest; empty is the same as unset. Raises SettingWrong."""
    read = _Reader(environ)
    request_timeout = read.number("REQUEST_TIMEOUT", 30.0, 0.001, 86400.0)
    return Settings(
        host=read.text("HOST", "0.0.0.0"),  # noqa: S104 - a container is reached from outside
        port=read.whole("PORT", read.whole("AIP_HTTP_PORT", 8080, 1, 65535), 1, 65535),
        model_path=Path(read.text("MODEL_PATH", "/opt/ml/model")),
        model_format=read.text("MODEL_FORMAT"),
        model_name=read.name("MODEL_NAME", "model"),
        model_version=read.name("MODEL_VERSION", "1"),
        signature_name=read.text("SIGNATURE_NAME"),
        workers=read.whole("WORKERS", 1, 1, 256),
        max_body=read.whole("MAX_BODY_MIB", 16, 1, 2048) * _MIB,
        max_rows=read.whole("MAX_ROWS", 4096, 1, 2**31 - 1),
        body_timeout=read.number("BODY_TIMEOUT", 30.0, 0.001, 3600.0),
        request_timeout=request_timeout,
        graceful_timeout=read.whole("GRACEFUL_TIMEOUT", 25, 1, 3600),
        shutdown_delay=read.whole("SHUTDOWN_DELAY", 0, 0, 3600),
        batching=BatchSettings(
            enabled=read.choice("BATCHING", ("auto", "off")) == "auto",
            max_rows=read.whole("MAX_BATCH_ROWS", 64, 1, 2**20),
            window=read.number("BATCH_WINDOW_MS", 5.0, 0.0, 10_000.0) / 1000,
            queue=read.whole("MAX_QUEUE", 1024, 1, 2**20),
            timeout=request_timeout,
        ),
        api_keys=Path(keys) if (keys := read.text("API_KEY_FILE")) else None,
        access_log=read.choice("ACCESS_LOG", ("on", "off")) == "on",
        request_log=read.text("REQUEST_LOG"),
        request_log_sample=read.number("REQUEST_LOG_SAMPLE", 1.0, 0.0, 1.0),
        request_log_payloads=read.choice("REQUEST_LOG_PAYLOADS", ("false", "true")) == "true",
        health_route=read.route("AIP_HEALTH_ROUTE"),
        predict_route=read.route("AIP_PREDICT_ROUTE"),
        about={
            key: environ[name]
            for key, name in (
                ("format", "MODEL_FORMAT"),
                ("model_hash", "MODEL_HASH"),
                ("git_sha", "GIT_SHA"),
                ("environment_key", "ENVIRONMENT_KEY"),
            )
            if environ.get(name)
        },
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    """One environment variable at a time, or SettingWrong with its name."""

    environ: Mapping[str, str]

    def text(self, name: str, default: str = "") -> str:
        return self.environ.get(name) or default

    def choice(self, name: str, words: tuple[str, ...]) -> str:
        """One of `words`, the first by default."""
        text = self.text(name, words[0]).lower()
        if text not in words:
            raise SettingWrong(f"{name} is {text!r}, expected {' or '.join(words)}")
        return text

    def name(self, name: str, default: str) -> str:
        """Part of a path: a model's name or version."""
        text = self.text(name, default)
        if not re.fullmatch(r"[\w.-]+", text, re.ASCII):
            raise SettingWrong(f"{name} is {text!r}, expected letters, digits, '.', '_' and '-'")
        return text

    def route(self, name: str) -> str:
        text = self.text(name)
        if text and not text.startswith("/"):
            raise SettingWrong(f"{name} is {text!r}, expected a path that begins with '/'")
        return text

    def whole(self, name: str, default: int, least: int, most: int) -> int:
        text = self.text(name, str(default))
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise SettingWrong(f"{name} is {text!r}, expected a whole number from {least} to {most}")
        return int(text)

    def number(self, name: str, default: float, least: float, most: float) -> float:
        text = self.text(name, repr(default))
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not least <= number <= most:
            raise SettingWrong(f"{name} is {text!r}, expected a number from {least:g} to {most:g}")
        return number


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
    """Set what the frameworks read from the environment when they are imported; what is set stays."""
    for name, value in {
        "KERAS_BACKEND": "tensorflow",
        "KERAS_HOME": os.devnull + "/keras",  # no configuration file may change what a model computes
        "TF_CPP_MIN_LOG_LEVEL": "2",  # warnings and below are not this log's JSON
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "TF_NUM_INTEROP_THREADS": "1",  # one batch at a time; more only adds hops from thread to thread
        "TF_NUM_INTRAOP_THREADS": str(cpus),  # the host's processors otherwise, whatever the quota
        "OMP_NUM_THREADS": str(cpus),  # ONNX Runtime, XGBoost, LightGBM, scikit-learn and PyTorch
        "OMP_WAIT_POLICY": "PASSIVE",  # threads that spin between two calls take what the server needs
        "OPENBLAS_NUM_THREADS": str(cpus),
    }.items():
        environ.setdefault(name, value)
    if not os.access("/tmp", os.W_OK):  # noqa: S108
        environ.setdefault("TMPDIR", SHARED_MEMORY)


def scratch_folder() -> str:
    """Where files that need not last are written: memory where there is some."""
    return SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else tempfile.gettempdir()
