"""A model's locked packages installed for this machine's own Python, and kept in the cache.

What loads the model here is what loads it in the image.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from ml_containerize.build.base import BasePython
from ml_containerize.build.packages import Installer, NoWheel
from ml_containerize.command import Run, start
from ml_containerize.console import Console
from ml_containerize.errors import EnvironmentMissing
from ml_containerize.plan.chosen import Chosen
from ml_containerize.plan.environment.locked import locked_packages
from ml_containerize.plan.environment.requirements import Requirement
from ml_containerize.plan.environment.serving import serving_folder
from ml_containerize.plan.settings.settings import Settings

_UNUSED_SECONDS = 30 * 86400


class NotInstallableHere(EnvironmentMissing):
    """The image's packages exist for its own platform, and not for this machine."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"the locked packages cannot be installed on this machine: {why}",
            "Name a Python that has what loads the model: --python venv/bin/python.",
        )


@dataclass(frozen=True, slots=True)
class LocalEnvironments:
    """One virtual environment for each lock; those that were not used for a month are deleted."""

    folder: Path
    installer: Installer
    console: Console
    now: Callable[[], float] = time.time

    def python(self, requirements: Sequence[Requirement]) -> Path:
        """The interpreter of the environment that has exactly these packages.

        Raises NotInstallableHere, and what `Installer.install` raises.
        """
        venv = self.folder / _key(requirements, self.installer)
        if not (venv / "bin" / "python").exists():
            self._make(requirements, venv)
        os.utime(venv, (self.now(), self.now()))
        return venv / "bin" / "python"

    def _make(self, requirements: Sequence[Requirement], venv: Path) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._forget_unused()
        version = self.installer.target.version
        self.console.info(
            f"installing {len(requirements)} locked packages for this machine's Python {version}"
        )
        with TemporaryDirectory(dir=self.folder, prefix=".draft-") as draft:
            made = Path(draft) / venv.name
            try:
                self.installer.install(requirements, made)
            except NoWheel as error:
                raise NotInstallableHere(error.what) from error
            shutil.rmtree(venv, ignore_errors=True)  # its interpreter is gone, or somebody else was quicker
            made.rename(venv)

    def _forget_unused(self) -> None:
        for venv in self.folder.glob("[0-9a-f]*"):
            if self.now() - venv.stat().st_mtime > _UNUSED_SECONDS:
                shutil.rmtree(venv, ignore_errors=True)


def _key(requirements: Sequence[Requirement], installer: Installer) -> str:
    parts = [installer.python, installer.target.version, sorted(map(str, requirements))]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def locked_python(
    settings: Settings, named: Path | None, environ: Mapping[str, str], run: Run, console: Console
) -> Callable[[Chosen], Path]:
    """How to get a Python that loads the model: the one that was named, else one with the locked packages.

    What is returned raises what `locked_packages`, `this_machine` and `LocalEnvironments.python` raise.
    """

    def find(chosen: Chosen) -> Path:
        project = settings.project
        _, packages = locked_packages(project, settings.requirements, serving_folder(), chosen.runtime)
        installer = Installer(this_machine(), project, environ, run, start)
        return LocalEnvironments(settings.cache / "python", installer, console).python(packages)

    return find if named is None else lambda _: named


def this_machine() -> BasePython:
    """The Python that runs this command, as a target of packages; raises NotInstallableHere."""
    library, version = platform.libc_ver()
    numbers = version.split(".")[:2]
    if sys.platform != "linux" or library != "glibc" or len(numbers) != 2:
        raise NotInstallableHere(f"it is {platform.platform()}, and they are for Linux with glibc")
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return BasePython(python, sys.executable, platform.machine(), (int(numbers[0]), int(numbers[1])))
