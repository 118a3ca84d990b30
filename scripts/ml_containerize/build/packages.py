"""Python packages, installed by uv for the target's platform and Python: wheels only, every hash checked."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ml_containerize.build.base import BasePython, UnsupportedSystem
from ml_containerize.command import Completed, Run, Start
from ml_containerize.errors import BuildError, EnvironmentMissing
from ml_containerize.oci.blobs import DiskFull
from ml_containerize.plan.environment.requirements import Requirement
from ml_containerize.plan.model.runtimes import CPU_LABEL, CPU_ONLY

# What uv accepts as --python-platform; a platform tag's number is the oldest glibc that it runs on (PEP 600).
_MANYLINUX = (17, 28, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40)

# Of the user's own settings for uv, those that say where packages come from. Others could change what is
# installed, or fail beside this command's own flags.
_KEPT_VARIABLES = (
    *("UV_INDEX", "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL", "UV_NO_INDEX", "UV_FIND_LINKS", "UV_OFFLINE"),
    *("UV_KEYRING_PROVIDER", "UV_CREDENTIALS_DIR", "UV_CONFIG_FILE", "UV_NO_CONFIG"),
    *("UV_CACHE_DIR", "UV_NO_CACHE", "UV_LOCK_TIMEOUT", "UV_CONCURRENT_"),
    *("UV_HTTP_", "UV_REQUEST_TIMEOUT", "UV_INSECURE_HOST", "UV_NATIVE_TLS", "UV_SYSTEM_CERTS"),
)

_NAME = r"`?([A-Za-z0-9._-]+==[^\s`,]+)`?"
_NO_WHEEL = re.compile(rf"{_NAME} has no (?:usable )?wheels?")
_MISSING = re.compile(
    rf"no version of {_NAME}|([A-Za-z0-9._-]+) was not found in the (?:package registry|cache)"
)
_UNREACHABLE = re.compile("network was disabled|error sending request|Failed to (?:fetch|download)")
_WRONG_HASH = re.compile(rf"Hash mismatch for {_NAME}")


class NoWheel(BuildError):
    """A package exists as source only, or not for the target's platform."""

    def __init__(self, package: str, target: BasePython, said: str) -> None:
        super().__init__(
            f"{package} has no wheel for Python {target.version} on {target.machine} with "
            f"glibc {target.glibc[0]}.{target.glibc[1]}:\n{said}",
            "Lock a version that has one, choose a base image with another Python, or build with the plain "
            "Dockerfile, where pip compiles what has no wheel: docker build --build-arg MODEL=<folder> .",
        )


class PackageMissing(BuildError):
    """The package index does not have what the lock names."""

    def __init__(self, package: str, said: str) -> None:
        usual = "Check the index that uv is set to (UV_DEFAULT_INDEX, UV_INDEX), or lock anew."
        super().__init__(
            f"The package index does not have {package}:\n{said}",
            CPU_ONLY if package.endswith(CPU_LABEL) else usual,
        )


class WrongHash(BuildError):
    """The package index delivers other bytes than the lock was made for."""

    def __init__(self, package: str, said: str) -> None:
        super().__init__(
            f"{package} is not what the lock says: its hash differs:\n{said}",
            "Find out which of the two is right before anything else; where it is the index, lock again.",
        )


class IndexUnreachable(EnvironmentMissing):
    """The package index does not answer."""

    def __init__(self, said: str) -> None:
        super().__init__(
            f"The package index cannot be reached:\n{said}",
            "Check the network, the proxy and the index that uv is set to (UV_DEFAULT_INDEX, HTTPS_PROXY).",
        )


class InstallFailed(BuildError):
    """uv failed for a reason of its own."""

    def __init__(self, said: str) -> None:
        super().__init__(f"uv could not install the packages:\n{said}", "What uv says above is the cause.")


@dataclass(frozen=True, slots=True)
class Installer:
    """uv, set up for a target; `folder` is where the user's own configuration of uv is looked for."""

    target: BasePython
    folder: Path
    environ: Mapping[str, str]
    run: Run
    start: Start
    python: str = sys.executable

    def install(self, requirements: Sequence[Requirement], venv: Path) -> None:
        """Make a virtual environment that holds exactly these packages; none is made for none.

        Raises NoWheel, PackageMissing, WrongHash, IndexUnreachable, InstallFailed and DiskFull.
        """
        with self.installing(requirements, venv) as finish:
            finish()

    @contextmanager
    def installing(self, requirements: Sequence[Requirement], venv: Path) -> Iterator[Callable[[], None]]:
        """The same beside other work; the context's value waits for it, and raises what `install` raises."""
        if not requirements:
            yield lambda: None
            return
        self._make(venv)
        with self.start(self._pip_install(requirements, venv), cwd=self.folder, env=self._environ) as wait:
            yield lambda: self._refuse(wait(), venv)

    def reinstall(self, requirement: Requirement, venv: Path) -> None:
        """Put one package's files over what other packages put in their place."""
        argv = [*self._pip_install([requirement], venv), "--reinstall"]
        self._refuse(self.run(argv, cwd=self.folder, env=self._environ), venv)

    def _make(self, venv: Path) -> None:
        argv = self._uv("venv", "--no-project", "--python", self.python, str(venv))
        self._refuse(self.run(argv, cwd=self.folder, env=self._environ), venv)

    def _pip_install(self, requirements: Sequence[Requirement], venv: Path) -> list[str]:
        lock = venv.with_suffix(".txt")
        lock.write_text("".join(f"{requirement}\n" for requirement in requirements))
        return self._uv(
            *("pip", "install", "--python", str(venv / "bin" / "python"), "--requirements", str(lock)),
            *("--python-version", self.target.version, "--python-platform", platform_tag(self.target)),
            *("--only-binary", ":all:", "--require-hashes", "--no-deps"),
            *("--link-mode", "hardlink", "--no-compile-bytecode"),
        )

    def _uv(self, *arguments: str) -> list[str]:
        from uv import find_uv_bin

        return [find_uv_bin(), *arguments, "--quiet", "--no-progress", "--color", "never"]

    @property
    def _environ(self) -> dict[str, str]:
        return uv_environment(self.environ)

    def _refuse(self, done: Completed, venv: Path) -> None:
        if not done.ok:
            raise _explained(done, self.target, venv)


def platform_tag(target: BasePython) -> str:
    """The platform whose wheels run on the target, as uv calls it; raises UnsupportedSystem."""
    major, minor = target.glibc
    fitting = [known for known in _MANYLINUX if (2, known) <= (major, minor)]
    if not fitting:
        raise UnsupportedSystem("", f"its glibc {major}.{minor} is older than 2.17")
    return f"{target.machine}-manylinux_2_{fitting[-1]}"


def uv_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without those variables of uv that could change what is installed."""
    return {
        name: value
        for name, value in environ.items()
        if not name.startswith("UV_") or name.startswith(_KEPT_VARIABLES)
    }


def _explained(done: Completed, target: BasePython, venv: Path) -> BuildError | EnvironmentMissing:
    """The cause behind uv's words."""
    said = "\n".join(f"  {line}" for line in done.stderr.strip().splitlines())
    if match := _WRONG_HASH.search(said):
        return WrongHash(match[1], said)
    if match := _NO_WHEEL.search(said):
        return NoWheel(match[1], target, said)
    if "No space left on device" in said:
        return DiskFull(venv.parent, 0)
    if _UNREACHABLE.search(said):
        return IndexUnreachable(said)
    if match := _MISSING.search(said):
        return PackageMissing(match[1] or match[2], said)
    return InstallFailed(said)
