"""Trivy's releases: which versions may run, and where a pinned one comes from."""

from __future__ import annotations

import mmap
import re
from dataclasses import dataclass
from pathlib import Path

from ml_containerize.errors import EnvironmentMissing, UsageError

_VERSION = re.compile(r"v?([0-9]+)\.([0-9]+)\.([0-9]+)")
_STAMP = b"github.com/aquasecurity/trivy/pkg/version/app.ver="
_STAMPED = re.compile(rb"v?[0-9]+\.[0-9]+\.[0-9]+")


class MaliciousScanner(EnvironmentMissing):
    """The trivy that was found or asked for is a release known to steal credentials."""

    def __init__(self, version: Version, where: str) -> None:
        super().__init__(
            f"{where} is trivy {version}, a release that steals credentials (CVE-2026-33634)",
            "Remove it, renew every secret that this machine's jobs could read, and install another release.",
        )


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """A released version of trivy."""

    major: int
    minor: int
    patch: int

    @classmethod
    def parse(cls, text: str) -> Version:
        match = _VERSION.fullmatch(text)
        if not match:
            raise UsageError(f"{text!r} is not a version of trivy", "Write it as in `trivy-version: 0.74.0`.")
        return cls(*map(int, match.groups()))

    def refuse_if_malicious(self, where: str) -> None:
        if self in MALICIOUS:
            raise MaliciousScanner(self, where)

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


# CVE-2026-33634: published by an intruder in March 2026.
MALICIOUS = frozenset({Version(0, 69, 4), Version(0, 69, 5), Version(0, 69, 6)})
OLDEST = Version(0, 63, 0)  # the first that can be told not to call home (`--disable-telemetry`)

PINNED = Version(0, 74, 0)
PINNED_SHA256 = {
    "Linux-64bit": "2ae6fe3ee734b7fdf11335663e18c75ea12dccc76062f09f164a3b0f8be4371a",
    "Linux-ARM64": "b94ce1976bbf3c15b514b605ee88be7c6d94a29be2302847ff01cb794d47aad5",
    "macOS-64bit": "472816f6888dda689d075c30254d4210b4d1035acf365aa72332f584c2f60485",
    "macOS-ARM64": "1caada5e0e2091909357c7525d3aa76f4b660b13821bc143b190c7483e31cc11",
}
_BUILDS = {
    ("Linux", "x86_64"): "Linux-64bit",
    ("Linux", "aarch64"): "Linux-ARM64",
    ("Darwin", "x86_64"): "macOS-64bit",
    ("Darwin", "arm64"): "macOS-ARM64",
}


class NoScannerForHost(EnvironmentMissing):
    """Trivy is not released for this operating system and processor."""

    def __init__(self, system: str, machine: str) -> None:
        super().__init__(
            f"There is no release of trivy for {system} on {machine}",
            "Install trivy and name it with `trivy-path`.",
        )


@dataclass(frozen=True, slots=True)
class Archive:
    """One release's archive for one kind of machine, and the SHA-256 that its bytes must have."""

    version: Version
    build: str
    sha256: str

    @property
    def url(self) -> str:
        name = f"trivy_{self.version}_{self.build}.tar.gz"
        return f"https://github.com/aquasecurity/trivy/releases/download/v{self.version}/{name}"


def archive_for(version: str, sha256: str, system: str, machine: str) -> Archive:
    """The archive to download; `version` and `sha256` are '' where the built-in pin applies.

    Raises MaliciousScanner, or NoScannerForHost.
    """
    build = _BUILDS.get((system, machine))
    if build is None:
        raise NoScannerForHost(system, machine)
    if not version:
        return Archive(PINNED, build, PINNED_SHA256[build])
    asked = Version.parse(version)
    asked.refuse_if_malicious("trivy-version")
    return Archive(asked, build, sha256)


def stamped_version(program: Path) -> Version | None:
    """The version that a Go linker wrote into the program, read without running it; None if there is none.

    Go records a build's linker flags in the program (https://pkg.go.dev/debug/buildinfo), so that a malicious
    release is recognised before it can do anything.
    """
    with program.open("rb") as file:
        if not file.seek(0, 2):
            return None
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            found = content.find(_STAMP)
            match = _STAMPED.match(content, found + len(_STAMP)) if found >= 0 else None
            return Version.parse(match.group().decode()) if match else None
