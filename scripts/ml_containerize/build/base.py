"""The base image's Python and C library, found in its files without running anything."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ml_containerize.build.tree import Tree
from ml_containerize.errors import BuildError
from ml_containerize.names import Platform

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # what engines set

_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
_VERSIONED = re.compile(r"python(3\.\d+)")
_GLIBC_BANNER = re.compile(
    rb"GNU C Library [^\n]*release version (\d+)\.(\d+)"
)  # as `ldd --version` prints it
_ADVICE = (
    "Choose a base image with CPython on Debian, Ubuntu or another glibc system, such as python:3.12-slim."
)


class NoPython(BuildError):
    """The base image has no Python that a virtual environment can be made for."""

    def __init__(self, base: str, path: str) -> None:
        super().__init__(f"The base image {base} has no CPython 3 on its PATH ({path})", _ADVICE)


class UnsupportedSystem(BuildError):
    """The base image's C library or processor has no wheels."""

    def __init__(self, base: str, why: str) -> None:
        super().__init__(f"The base image {base} cannot take binary packages: {why}", _ADVICE)


@dataclass(frozen=True, slots=True)
class BasePython:
    """What decides wheels, bytecode and the virtual environment's links."""

    version: str  # "3.12"
    executable: str  # absolute, without links: "/usr/local/bin/python3.12"
    machine: str  # as in wheel names: "x86_64"
    glibc: tuple[int, int]

    @property
    def cache_tag(self) -> str:
        """The part of a bytecode file's name that says whose it is (PEP 3147)."""
        return f"cpython-{self.version.replace('.', '')}"


def find_python(tree: Tree, search_path: str, platform: Platform, base: str) -> BasePython:
    """Look where a shell would; raises NoPython and UnsupportedSystem, which name the `base`."""
    machine = _MACHINES.get(platform.architecture)
    if machine is None:
        raise UnsupportedSystem(base, f"there are no wheels for {platform}")
    found = next(_pythons(tree, search_path), None)
    if found is None:
        raise NoPython(base, search_path)
    executable, version = found
    return BasePython(version, executable, machine, _find_glibc(tree, machine, base))


def _pythons(tree: Tree, search_path: str) -> Iterator[tuple[str, str]]:
    for folder in search_path.split(":"):
        versioned = sorted(filter(_VERSIONED.fullmatch, tree.names(folder)), key=_minor, reverse=True)
        for name in ("python3", "python", *versioned):
            executable = tree.resolve(f"{folder}/{name}")
            version = _version_of(tree, executable) if executable else None
            if executable and version:
                yield executable, version


def _minor(name: str) -> int:
    return int(name.rpartition(".")[2])


def _version_of(tree: Tree, executable: str) -> str | None:
    """From the file's name, else from the one standard library beside it."""
    folder, _, name = executable.rpartition("/")
    if match := _VERSIONED.fullmatch(name):
        return match[1]
    if not re.fullmatch(r"python3?", name):
        return None
    library = f"{folder.rpartition('/')[0]}/lib"
    versions = [m[1] for m in map(_VERSIONED.fullmatch, tree.names(library)) if m]
    standard = [v for v in versions if tree.find(f"{library}/python{v}/os.py")]
    return standard[0] if len(standard) == 1 else None


def library_folders(machine: str) -> tuple[str, ...]:
    """Where the dynamic loader looks for libraries, in its order (ld.so(8), multiarch)."""
    return (
        "/usr/local/lib",
        f"/lib/{machine}-linux-gnu",
        f"/usr/lib/{machine}-linux-gnu",
        "/lib64",
        "/usr/lib64",
        "/lib",
        "/usr/lib",
    )


def _find_glibc(tree: Tree, machine: str, base: str) -> tuple[int, int]:
    for folder in library_folders(machine):
        library = tree.find(f"{folder}/libc.so.6")
        if library and (version := _read_glibc(library)):
            return version
    if any(name.startswith("ld-musl-") for name in tree.names("/lib")):
        raise UnsupportedSystem(base, "its C library is musl (Alpine), and few packages have wheels for that")
    raise UnsupportedSystem(base, f"it has no GNU C library for {machine}")


def _read_glibc(library: Path) -> tuple[int, int] | None:
    match = _GLIBC_BANNER.search(library.read_bytes())
    return (int(match[1]), int(match[2])) if match else None
