"""The base image for tests and the demo: the default one, or where no registry is reachable one made here.

Prints what `--base-image` takes. A closed network can still reach its distribution's packages, so mmdebstrap
makes a small image with Python from the machine's own release: an OCI layout folder, kept in `.cache`.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path

from ml_containerize.command import Run, run
from ml_containerize.console import Console
from ml_containerize.errors import ContainerizeError, EnvironmentMissing
from ml_containerize.names import Digest, Platform
from ml_containerize.oci import media
from ml_containerize.oci.credentials import Credentials
from ml_containerize.oci.descriptor import Descriptor
from ml_containerize.oci.document import canonical
from ml_containerize.oci.find import find_image
from ml_containerize.oci.image import FoundImage
from ml_containerize.oci.layout import Layout
from ml_containerize.oci.manifest import Manifest
from ml_containerize.oci.registry import connector
from ml_containerize.plan.settings.settings import DEFAULT_BASE

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"
CREATED = "1980-01-01T00:00:00Z"
EPOCH = "315532800"  # the same instant in seconds
PACKAGES = "ca-certificates,python3,python3-venv"
PATH_IN_IMAGE = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
UNWANTED = ("usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/bug")
FORGOTTEN = ("etc/hostname", "etc/resolv.conf", "var/log/*", "var/cache/debconf/*-old", "var/cache/ldconfig")
_OWN_MIRROR = re.compile(r"/(debian|ubuntu)(-security|-ports)?/?$")


class BaseImageNotMade(EnvironmentMissing):
    """No base image can be pulled, and none can be made on this machine."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"No base image could be made here: {why}",
            f"Run this where {DEFAULT_BASE.partition('@')[0]} can be pulled, or on Debian or Ubuntu.",
        )


def own_platform() -> Platform:
    return Platform("linux", ARCHITECTURES.get(platform.machine(), platform.machine()))


def mirror_lines(targets: str, codename: str, components: Sequence[str]) -> list[str]:
    """The machine's own sources for its release, as apt lines, out of `apt-get indextargets`."""
    suites = {codename, f"{codename}-updates", f"{codename}-security"}
    lines = []
    for line in targets.splitlines():
        kind, component, suite, uri = line.split("|")
        if kind == "Packages" and suite in suites and component in components and _OWN_MIRROR.search(uri):
            lines.append(f"deb {uri} {suite} {component}")
    return sorted(set(lines))


def bootstrap_command(program: str, codename: str, tar: Path, sources: Path) -> list[str]:
    """mmdebstrap into a tar, without documentation and whatever differs between machines."""
    excluded = [f"--dpkgopt=path-exclude=/{folder}/*" for folder in UNWANTED]
    forget = " ".join(f'"$1"/{name}' for name in FORGOTTEN)
    return [
        program,
        "--variant=minbase",
        f"--include={PACKAGES}",
        '--aptopt=Acquire::Languages "none"',
        *excluded,
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        "--skip=output/dev",
        f"--customize-hook=rm -rf {forget}",
        codename,
        str(tar),
        *([str(sources)] if sources.stat().st_size else []),
    ]


def make_layout(folder: Path, *, run: Run = run) -> None:
    """Make the base image in `folder`, with mmdebstrap's own words on stderr; raises BaseImageNotMade."""
    release = platform.freedesktop_os_release() if sys.platform == "linux" else {}
    codename = release.get("VERSION_CODENAME", "")
    if not codename or not {"debian", "ubuntu"} & {
        release.get("ID", ""),
        *release.get("ID_LIKE", "").split(),
    }:
        raise BaseImageNotMade(f"this is {release.get('PRETTY_NAME', sys.platform)}, not Debian or Ubuntu")
    tool = run([str(ROOT / "scripts" / "tools"), "mmdebstrap"])
    if not tool.ok:
        raise BaseImageNotMade(tool.stderr.strip())
    components = ("main", "universe") if release.get("ID") == "ubuntu" else ("main",)
    targets = run(
        ["apt-get", "indextargets", "--format", "$(CREATED_BY)|$(COMPONENT)|$(RELEASE)|$(REPO_URI)"]
    )
    layout = Layout.create(folder)
    tar, sources = folder / "root.tar", folder / "sources.list"
    sources.write_text("\n".join(mirror_lines(targets.stdout, codename, components)))
    _bootstrap(bootstrap_command(tool.stdout.strip(), codename, tar, sources))
    layer, diff_id = _write_layer(layout, tar)
    _write_image(layout, layer, diff_id, codename)
    tar.unlink()
    sources.unlink()


def _bootstrap(argv: Sequence[str]) -> None:
    environment = {**os.environ, "SOURCE_DATE_EPOCH": EPOCH}
    status = subprocess.call(argv, env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr)
    if status:
        raise BaseImageNotMade(f"mmdebstrap ended with status {status}; its last lines above say why")


def _write_layer(layout: Layout, tar: Path) -> tuple[Descriptor, Digest]:
    """One gzip layer, as registries hold base images; zlib's gzip header carries no time."""
    uncompressed = hashlib.sha256()
    packer = zlib.compressobj(6, wbits=31)
    with tar.open("rb") as file, layout.writer() as blob:
        while chunk := file.read(1 << 20):
            uncompressed.update(chunk)
            blob.write(packer.compress(chunk))
        blob.write(packer.flush())
        return blob.commit(media.LAYER_GZIP), Digest(uncompressed.hexdigest())


def _write_image(layout: Layout, layer: Descriptor, diff_id: Digest, codename: str) -> None:
    config = {
        "architecture": own_platform().architecture,
        "os": "linux",
        "created": CREATED,
        "config": {"Cmd": ["python3"], "Env": [f"PATH={PATH_IN_IMAGE}"]},
        "rootfs": {"type": "layers", "diff_ids": [str(diff_id)]},
        "history": [{"created": CREATED, "created_by": f"mmdebstrap {codename} {PACKAGES}"}],
    }
    manifest = Manifest(layout.write(canonical(config), media.CONFIG), (layer,))
    layout.set_image(layout.write(manifest.as_bytes(), media.MANIFEST), f"base:{codename}")


def find_default() -> FoundImage | None:
    """The default base image in its registry, unless that is out of reach."""
    credentials = Credentials.gather("", "", "", environ=os.environ, run=run)
    try:
        return find_image(DEFAULT_BASE, own_platform(), connector(credentials, attempts=1))
    except ContainerizeError:
        return None


def pull_layout(found: FoundImage, folder: Path, console: Console) -> None:
    """Copy an image into a layout in `folder`, whole; raises what its registry's client raises."""
    image = found.into(Layout.create(folder))
    with console.progress("pulling", sum(layer.size for layer in image.manifest.layers)) as advance:
        for layer in image.manifest.layers:
            image.content.pull(layer, advance)
    image.content.layout.set_image(image.descriptor, image.name)


def cached_layout(found: FoundImage | None, console: Console) -> Path:
    """A base image's layout folder, filled when it is first asked for."""
    folder, unfinished = CACHE / "base-layout", CACHE / "base-layout.unfinished"
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "base-layout.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            shutil.rmtree(unfinished, ignore_errors=True)
            if found:
                pull_layout(found, unfinished, console)
            else:
                console.info(
                    "No registry has the default base image for us: making one, once, in about a minute"
                )
                make_layout(unfinished)
            unfinished.rename(folder)
    return folder


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--layout", action="store_true", help="a layout folder, also of the default base image"
    )
    options = parser.parse_args(arguments)
    console = Console()
    try:
        found = None if (CACHE / "base-layout").exists() and options.layout else find_default()
        print(DEFAULT_BASE if found and not options.layout else cached_layout(found, console))
    except ContainerizeError as error:
        console.error(error.title, str(error))
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
