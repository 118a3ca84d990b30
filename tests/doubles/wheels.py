"""Wheels and source distributions, small and made on the spot."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from ml_containerize.build.record import Recorded, recorded, write_record
from ml_containerize.plan.environment.requirements import Requirement


def make_wheel(folder: Path, name: str, version: str, files: Mapping[str, bytes]) -> Requirement:
    """Put a wheel into a folder and lock it; scripts of its .data folder are executable."""
    dist_info = f"{name}-{version}.dist-info"
    every = {
        **files,
        f"{dist_info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{dist_info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = [recorded(path, content) for path, content in every.items()]
    every[f"{dist_info}/RECORD"] = write_record([*lines, Recorded(f"{dist_info}/RECORD")])
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in every.items():
            member = zipfile.ZipInfo(path)
            member.external_attr = (0o100755 if ".data/scripts/" in path else 0o100644) << 16
            archive.writestr(member, content)
    return _locked(folder / f"{name}-{version}-py3-none-any.whl", name, version, packed.getvalue())


def make_source_distribution(folder: Path, name: str, version: str) -> Requirement:
    """A package that would have to be built first."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        content = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()
        member = tarfile.TarInfo(f"{name}-{version}/PKG-INFO")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return _locked(folder / f"{name}-{version}.tar.gz", name, version, packed.getvalue())


def _locked(path: Path, name: str, version: str, content: bytes) -> Requirement:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    return Requirement(name.replace("_", "-"), version, "", (f"sha256:{digest}",))
