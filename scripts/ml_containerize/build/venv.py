"""What uv installed on this machine, turned into the virtual environment at /opt/venv inside the image.

A package's RECORD decides what it has. Nothing of this machine comes along: scripts start the image's own
Python, and notes of where an installer found something stay behind.
"""

from __future__ import annotations

import os
import posixpath
import re
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ml_containerize.build.base import BasePython
from ml_containerize.build.record import Recorded, read_record, record_hash, recorded, write_record
from ml_containerize.errors import BuildError
from ml_containerize.oci.layers import Entry

VENV = "opt/venv"

_SCRIPTS = f"{VENV}/bin/"
_INSTALLER_NOTES = {"uv_cache.json", "uv_build.json", "direct_url.json"}
_HEADERS = re.compile(r"^(?:\.\./){3}include/site/python3\.\d+/")
_DIST_INFO = re.compile(r"(?P<name>.+)-(?P<version>[^-]+)\.dist-info")

Records = Mapping[str, Sequence[Recorded]]  # by the names of .dist-info folders


class DamagedPackage(BuildError):
    """An installed file is not what its package's RECORD says."""

    def __init__(self, distribution: str, path: str) -> None:
        super().__init__(
            f"{distribution}: {path} is not what the package's own RECORD says",
            "uv's cache was changed, perhaps by editing a file of another environment: run `uv cache clean`.",
        )


class MisplacedFile(BuildError):
    """A package claims a file outside of its environment."""

    def __init__(self, distribution: str, path: str) -> None:
        super().__init__(f"{distribution} claims {path!r}, outside of the environment", "Do not use it.")


@dataclass(frozen=True, slots=True)
class Module:
    """A file of Python, or beside it: where it is on this machine, and its path inside the image."""

    source: str
    path: str


@dataclass(frozen=True, slots=True)
class Distribution:
    """An installed package: what it puts into the image, and how many bytes that is."""

    name: str
    version: str
    entries: tuple[Entry, ...]
    modules: tuple[Module, ...]
    size: int

    @property
    def title(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True, slots=True)
class Installation:
    """The environment that uv filled in a folder of this machine, to be one of `python` inside the image."""

    folder: Path
    python: BasePython

    @property
    def site_packages(self) -> Path:
        """Named after the Python that runs this command, not after the target's."""
        return next(self.folder.glob("lib/python3.*/site-packages"))

    def records(self) -> Records:
        """What each package's RECORD says, by the name of its .dist-info folder."""
        found = sorted(self.site_packages.glob("*.dist-info/RECORD"))
        return {path.parent.name: [line for line in read_record(path) if _is_kept(line)] for path in found}

    def distributions(self, records: Records, claimed: Collection[str] = ()) -> list[Distribution]:
        """All packages in the order of their names, without files that are `claimed` by others already.

        Raises DamagedPackage and MisplacedFile.
        """
        owners = {line.path: folder for folder, lines in sorted(records.items()) for line in lines}
        owners |= dict.fromkeys(claimed, "")
        return [self._distribution(folder, lines, owners) for folder, lines in sorted(records.items())]

    def _distribution(
        self, folder: str, lines: Sequence[Recorded], owners: Mapping[str, str]
    ) -> Distribution:
        name, version = name_and_version(folder)
        reading = _Reading(f"{name} {version}", self.folder, str(self.site_packages), self.python.version)
        for line in lines:
            reading.add(line, owned=owners[line.path] == folder)
        reading.add_record(f"{folder}/RECORD")
        return Distribution(name, version, tuple(reading.entries), tuple(reading.modules), reading.size)


@dataclass(slots=True)
class _Reading:
    """One package on its way into the image; 17,000 files make every call count."""

    distribution: str
    folder: Path
    site_packages: str
    version: str  # of the target's Python
    entries: list[Entry] = field(default_factory=list)
    modules: list[Module] = field(default_factory=list)
    lines: list[Recorded] = field(default_factory=list)  # of the RECORD inside the image
    size: int = 0

    def add(self, line: Recorded, owned: bool) -> None:
        """Take in a line and, unless another package has put its own file there, the file."""
        record_path, path = self._places(line.path)
        if not owned:
            self.lines.append(Recorded(record_path, line.hash, line.size))
            return
        source = f"{self.site_packages}/{line.path}"
        executable = self._check(source, line)
        if path.startswith(_SCRIPTS):
            content = relocated(Path(source).read_bytes(), self.folder)
            self.lines.append(recorded(record_path, content))
            self.entries.append(Entry.bytes(path, content, executable))
            return
        if path.endswith(".py"):
            self._check_source(source, line)
            self.modules.append(Module(source, path))
        self.lines.append(Recorded(record_path, line.hash, line.size))
        self.entries.append(Entry.file(path, source, executable))

    def add_record(self, path: str) -> None:
        content = write_record([*self.lines, Recorded(path)])
        self.entries.append(Entry.bytes(self._places(path)[1], content))
        self.size += len(content)

    def _places(self, path: str) -> tuple[str, str]:
        """A recorded path as it must be in the image's RECORD, and from the image's root."""
        site_packages = f"{VENV}/lib/python{self.version}/site-packages"
        if ".." not in path:
            return path, f"{site_packages}/{path}"
        path = _HEADERS.sub(f"../../../include/site/python{self.version}/", path)
        from_root = posixpath.normpath(f"{site_packages}/{path}")
        if not from_root.startswith(f"{VENV}/"):
            raise MisplacedFile(self.distribution, path)
        return path, from_root

    def _check(self, source: str, line: Recorded) -> bool:
        """True for an executable file; raises DamagedPackage where its size is not the recorded one."""
        try:
            status = os.lstat(source)
        except FileNotFoundError:
            raise DamagedPackage(self.distribution, line.path) from None
        if not stat.S_ISREG(status.st_mode) or line.size not in {"", str(status.st_size)}:
            raise DamagedPackage(self.distribution, line.path)
        self.size += status.st_size
        return bool(status.st_mode & stat.S_IXUSR)

    def _check_source(self, source: str, line: Recorded) -> None:
        """Modules are what people edit in place, and with them uv's cache, which shares the file."""
        with open(source, "rb") as file:  # noqa: PTH123 (pathlib would cost more than the hash)
            content = file.read()
        if line.hash.startswith("sha256=") and record_hash(content) != line.hash:
            raise DamagedPackage(self.distribution, line.path)


def _is_kept(line: Recorded) -> bool:
    folder, _, name = line.path.rpartition("/")
    if folder.endswith(".dist-info"):
        return name not in _INSTALLER_NOTES and name != "RECORD"
    return not folder.endswith("__pycache__")


def name_and_version(dist_info: str) -> tuple[str, str]:
    """`tensorflow_cpu-2.21.0.dist-info` → tensorflow-cpu, 2.21.0 (PEP 503, PEP 427)."""
    match = _DIST_INFO.fullmatch(dist_info)
    if match is None:
        return dist_info, ""
    return re.sub(r"[-_.]+", "-", match["name"]).lower(), match["version"]


def disputed(records: Records) -> list[str]:
    """The packages whose files another may have overwritten: of several claimants the last by name wins."""
    claims: dict[str, dict[str, str]] = {}
    for folder, lines in sorted(records.items()):
        for line in lines:
            claims.setdefault(line.path, {})[folder] = line.hash
    winners = {max(claim) for claim in claims.values() if len(set(claim.values())) > 1}
    return sorted(winners)


def relocated(script: bytes, folder: Path) -> bytes:
    """A script that starts the image's Python where it started that of the environment in `folder`.

    An installer writes `#!path`, or two lines of shell where the path is too long or has spaces for that.
    """
    python = re.escape(f"/{folder.parent.name}/{folder.name}/bin/python".encode())
    head = rb"#!(?:/bin/sh\n'''exec' )?[^\n]*" + python + rb"[^\n]*\n(?:' '''\n)?"
    return re.sub(rb"\A" + head, f"#!/{VENV}/bin/python\n".encode(), script)


def skeleton(python: BasePython) -> Iterator[Entry]:
    """What makes a folder a virtual environment (PEP 405)."""
    home = posixpath.dirname(python.executable)
    config = f"home = {home}\ninclude-system-site-packages = false\nversion = {python.version}\n"
    yield Entry.bytes(f"{VENV}/pyvenv.cfg", config.encode())
    yield Entry.link(f"{VENV}/bin/python", python.executable)
    yield Entry.link(f"{VENV}/bin/python3", "python")
    yield Entry.link(f"{VENV}/bin/python{python.version}", "python")
    yield Entry.directory(f"{VENV}/lib/python{python.version}/site-packages")


def with_folders(entries: Iterable[Entry]) -> list[Entry]:
    """The entries and the folders that they are in: an engine would make a missing one up as it likes."""
    listed = list(entries)
    present = {entry.path for entry in listed}
    needed = {str(folder) for path in present for folder in PurePosixPath(path).parents}
    return listed + [Entry.directory(path) for path in sorted(needed - present - {".", "opt"})]
