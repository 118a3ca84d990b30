"""Finding trivy: the one that was named, the one on PATH, or the pinned download."""

from __future__ import annotations

import json
import os
import platform
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ml_containerize.command import Run
from ml_containerize.console import Console
from ml_containerize.errors import ContainerizeError, EnvironmentMissing
from ml_containerize.plan.settings.settings import Settings
from ml_containerize.scan.download import ensure
from ml_containerize.scan.release import OLDEST, Archive, Version, archive_for, stamped_version

Download = Callable[[Archive, Path], Path]  # puts the archive's program into a folder

_VERSION_SECONDS = 30


class NoSuchScanner(EnvironmentMissing):
    """The trivy that was named cannot be started."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"trivy-path {path} {why}",
            "Name the trivy program, or leave trivy-path away to use the one on PATH or the pinned download.",
        )


class ScannerTooOld(EnvironmentMissing):
    """The trivy that was found lacks what the scan needs."""

    def __init__(self, path: Path, version: Version) -> None:
        super().__init__(
            f"{path} is trivy {version}; {OLDEST} is the oldest that works here",
            "Update it, or leave trivy-path away to use the pinned download.",
        )


@dataclass(frozen=True, slots=True)
class Trivy:
    """A trivy program that may run."""

    path: Path
    version: Version

    def __str__(self) -> str:
        return f"trivy {self.version}"


def find_trivy(
    settings: Settings,
    *,
    environ: Mapping[str, str],
    run: Run,
    console: Console,
    download: Download = ensure,
) -> Trivy:
    """The trivy to use; raises MaliciousScanner, NoSuchScanner, ScannerTooOld, or what a download raises."""
    if settings.trivy_path:
        return _named(settings.trivy_path, run)
    found = shutil.which("trivy", path=environ.get("PATH", ""))
    return (_on_path(Path(found), settings, run, console) if found else None) or _pinned(
        settings, console, download
    )


def _named(path: Path, run: Run) -> Trivy:
    if not path.is_file():
        raise NoSuchScanner(path, "does not exist")
    if not os.access(path, os.X_OK):
        raise NoSuchScanner(path, "is not executable")
    version = _version_of(path, run)
    if version is None:
        raise NoSuchScanner(path, "does not say which version of trivy it is")
    if version < OLDEST:
        raise ScannerTooOld(path, version)
    return Trivy(path, version)


def _on_path(path: Path, settings: Settings, run: Run, console: Console) -> Trivy | None:
    """PATH's trivy, or None where it is not the one that was asked for, too old, or something else."""
    version = _version_of(path, run)
    if version is None:
        console.info(f"{path} does not say which version of trivy it is, so it is not used")
    elif settings.trivy_version and version != Version.parse(settings.trivy_version):
        console.info(f"{path} is trivy {version}, not {settings.trivy_version}, so it is not used")
    elif version < OLDEST:
        console.info(f"{path} is trivy {version}, older than {OLDEST}, so it is not used")
    else:
        return Trivy(path, version)
    return None


def _pinned(settings: Settings, console: Console, download: Download) -> Trivy:
    archive = archive_for(
        settings.trivy_version, settings.trivy_sha256, platform.system(), platform.machine()
    )
    console.info(f"using trivy {archive.version} from {archive.url}")
    return Trivy(download(archive, settings.cache / "tools"), archive.version)


def _version_of(path: Path, run: Run) -> Version | None:
    """What the program says it is, read from its bytes if they tell, else asked; raises MaliciousScanner."""
    version = stamped_version(path) or _asked_version(path, run)
    if version:
        version.refuse_if_malicious(str(path))
    return version


def _asked_version(path: Path, run: Run) -> Version | None:
    """Run `trivy version` with no environment, so that there is nothing in it to read or to obey."""
    argv = [str(path), "version", "--format", "json"]
    try:
        done = run(argv, env={"PATH": os.defpath}, timeout=_VERSION_SECONDS)
        return Version.parse(json.loads(done.stdout)["Version"]) if done.ok else None
    except (OSError, ValueError, KeyError, TypeError, ContainerizeError):
        return None
