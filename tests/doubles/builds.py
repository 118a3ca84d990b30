"""What a build works on, small but real: files, packages, environments; and a stand-in for programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

from doubles.registry_double import RegistryDouble

from ml_containerize.build.image import environment_image, notes
from ml_containerize.build.record import Recorded, recorded, write_record
from ml_containerize.command import Completed
from ml_containerize.console import Console
from ml_containerize.oci.find import find_image
from ml_containerize.oci.image import FoundImage
from ml_containerize.oci.layers import Entry, write_layer
from ml_containerize.oci.layout import Layout
from ml_containerize.oci.registry import Connect
from ml_containerize.plan.decide import Plan

GLIBC = b"\x7fELF\0GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36.\nCopyright\0"


def said(console: Console) -> str:
    assert isinstance(console.stream, StringIO)
    return console.stream.getvalue()


def make_files(folder: Path, files: Mapping[str, bytes | str]) -> Path:
    """Files with their content, and links where the content is a text: the link's target."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(content) if isinstance(content, str) else path.write_bytes(content)
    return folder


@dataclass
class Runs:
    """Stands for programs: notes how they are started and answers with what it is told."""

    answers: list[Completed] = field(default_factory=list)
    seen: list[tuple[list[str], Mapping[str, str], str]] = field(default_factory=list)

    def __call__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
        **_: object,
    ) -> Completed:
        self.seen.append((list(argv), env or {}, stdin))
        return self.answers.pop(0) if self.answers else ok()

    @contextmanager
    def start(self, argv: Sequence[str], **options: Any) -> Iterator[Callable[[], Completed]]:
        """The same for programs that run beside others."""
        yield lambda: self(argv, **options)

    def answer(self, status: int, stderr: str = "", stdout: str = "") -> None:
        self.answers.append(Completed(("program",), status, stdout, stderr))


def ok(stdout: str = "") -> Completed:
    return Completed(("program",), 0, stdout, "")


def install_package(folder: Path, name: str, version: str, files: Mapping[str, bytes]) -> None:
    """What uv leaves in an environment: files by their paths relative to site-packages, and a RECORD."""
    site = folder / "lib" / "python3.11" / "site-packages"
    dist_info = f"{name}-{version}.dist-info"
    every = {f"{dist_info}/METADATA": f"Name: {name}\n".encode(), f"{dist_info}/INSTALLER": b"uv", **files}
    for path, content in every.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_bytes(content)
        if "/bin/" in path:
            (site / path).chmod(0o755)
    lines = [recorded(path, content) for path, content in every.items()]
    record = write_record([*lines, Recorded(f"{dist_info}/RECORD")])
    (site / dist_info / "RECORD").write_bytes(record)


def write_environment(plan: Plan, layout: Layout, connect: Connect, first: str = "tensorflow") -> FoundImage:
    """An environment with two layers of its own, as if it had just been built."""
    base = find_image(plan.environment.base.where, plan.environment.platform, connect)
    layers = [
        write_layer(
            layout,
            [Entry.bytes(f"opt/{title}", title.encode() * 1000)],
            compression="zstd",
            created_by=title,
            annotations=notes("packages", title),
        )
        for title in (first, "flask")
    ]
    return environment_image(plan, base, layers)


def stored(environment: FoundImage, layout: Layout) -> FoundImage:
    """The environment with its manifest and configuration in the layout, too."""
    layout.write(environment.config_body, environment.manifest.config.media_type)
    layout.write(environment.manifest_body, environment.descriptor.media_type)
    return environment


def publish_environment(
    environment: FoundImage, layout: Layout, registry: RegistryDouble, path: str, tag: str
) -> None:
    """Put an environment into a registry double, its base's layers included."""
    registry.put_blob(path, environment.config_body)
    for layer in environment.manifest.layers:
        source = layout if layout.has(layer.digest) else environment.sources[layer.digest]
        with source.open(layer) as stream:
            registry.put_blob(path, stream.read())
    registry.put_manifest(path, environment.manifest_body, environment.descriptor.media_type, tag)
