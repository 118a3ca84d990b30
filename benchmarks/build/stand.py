"""What both sides stand on: one local registry with the base image, private engines, made-up models."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import ROOT, call, free_port, running, wait_for

LOCK = ROOT / "serving" / "requirements" / "tensorflow.lock"
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Timed:
    """One run: wall-clock seconds, bytes that the registry gained, compressed size, peak memory in bytes."""

    seconds: float
    uploaded: int
    size: int
    peak: int = 0


@dataclass(frozen=True, slots=True)
class Stand:
    """A folder, a registry on loopback (host:port), and where it stores its blobs."""

    folder: Path
    registry: str

    @property
    def base(self) -> str:
        return f"{self.registry}/base:1"

    @property
    def storage(self) -> Path:
        return self.folder / "registry"

    def stored(self) -> int:
        """Bytes of all blobs in the registry."""
        blobs = self.storage / "docker" / "registry" / "v2" / "blobs"
        return sum(path.stat().st_size for path in blobs.rglob("data")) if blobs.is_dir() else 0

    @classmethod
    @contextmanager
    def open(cls, folder: Path) -> Iterator[Stand]:
        port = free_port()
        config = folder / "registry.yml"
        config.write_text(
            f"version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n"
            f"storage: {{filesystem: {{rootdirectory: {folder / 'registry'}}}}}\n"
            f"http: {{addr: '127.0.0.1:{port}'}}\n"
        )
        argv = [registry_program(), "serve", str(config)]
        with running(argv, folder / "registry.log"):
            wait_for(f"http://127.0.0.1:{port}/v2/")
            stand = cls(folder, f"localhost:{port}")
            put_base(stand)
            yield stand


def registry_program() -> str:
    found = subprocess.run(
        [ROOT / "scripts" / "tools", "docker-registry"], capture_output=True, text=True, check=True
    )
    return found.stdout.strip()


def put_base(stand: Stand) -> None:
    """Copy the base image into the registry as it is."""
    layout = call(sys.executable, ROOT / "scripts" / "base_image.py", "--layout").strip()
    skopeo = call(ROOT / "scripts" / "tools", "skopeo").strip()
    call(skopeo, "copy", "-q", "--dest-tls-verify=false", f"oci:{layout}", f"docker://{stand.base}")


def packages() -> str:
    """The locked packages as a plain requirements.txt: the same versions for both sides."""
    return "\n".join(re.findall(r"^([\w.\[\]-]+==[^\\\n]+)", LOCK.read_text(), re.MULTILINE)) + "\n"


def new_model(path: Path, mebibytes: int, seed: int) -> Path:
    """A file in Keras' format whose weights nobody can compress, as real ones are."""
    if path.exists():
        return path
    with (
        zipfile.ZipFile(ROOT / "examples" / "digits" / "model.keras") as source,
        zipfile.ZipFile(path, "w") as out,
    ):
        for name in source.namelist():
            out.writestr(name, source.read(name))
        with (
            out.open("assets/embeddings.bin", "w", force_zip64=True) as file,
            Path("/dev/urandom").open("rb") as noise,
        ):
            file.write(seed.to_bytes(8, "big"))
            for _ in range(mebibytes):
                file.write(noise.read(MIB))
    return path


def project(folder: Path, model: Path) -> Path:
    """A git repository with the digits project around this model."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "examples" / "digits", folder, ignore=shutil.ignore_patterns(".ml-containerize"))
    (folder / "model.keras").unlink()
    os.link(model, folder / "model.keras")
    dated = {
        **os.environ,
        "GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z",
        "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z",
    }
    git = ["git", "-c", "user.name=b", "-c", "user.email=b@example.org", "-c", "core.bigFileThreshold=1m"]
    (folder / ".gitattributes").write_text("*.keras -diff -delta\n")
    call(*git, "init", "-q", cwd=folder)
    call(*git, "add", ".gitattributes", "requirements.lock", cwd=folder)
    call(*git, "commit", "-q", "-m", model.stem, cwd=folder, env=dated)
    return folder


def timed(argv: Sequence[str | Path], cwd: Path, env: dict[str, str]) -> tuple[float, int]:
    """Seconds and the largest process's peak memory in bytes."""
    start = time.monotonic()
    with (cwd.parent / "timed.log").open("w+b") as log:
        child = subprocess.Popen(list(map(str, argv)), cwd=cwd, env=env, stdout=log, stderr=log)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.monotonic() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            log.seek(0)
            raise SystemExit(f"{argv}\n{log.read().decode()[-4000:]}")
    return seconds, usage.ru_maxrss * 1024
