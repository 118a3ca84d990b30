"""What this machine can run."""

from __future__ import annotations

import platform
import sys

from ml_containerize.names import Platform

_ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def runs_here(target: Platform) -> bool:
    """True where this machine runs the target's programs as they are."""
    return sys.platform == target.os and _ARCHITECTURES.get(platform.machine().lower()) == target.architecture
