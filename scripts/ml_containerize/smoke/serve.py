"""Run an image for a person, until Ctrl-C."""

from __future__ import annotations

import json
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

from ml_containerize.command import run
from ml_containerize.console import Console
from ml_containerize.errors import SmokeError
from ml_containerize.oci.find import find_image
from ml_containerize.oci.image import Image
from ml_containerize.oci.layout import Layout
from ml_containerize.oci.registry import Connect
from ml_containerize.plan.settings.settings import Settings
from ml_containerize.results import Json
from ml_containerize.smoke.engine import Engine, StartFailed, with_engine
from ml_containerize.smoke.engines import engines
from ml_containerize.smoke.gpus import GpuRequest, parse_gpus
from ml_containerize.smoke.made_up import nested, zero
from ml_containerize.smoke.readiness import Ready, ready_server

_MOST_ELEMENTS = 128  # of an example request on one command line


class ServerEnded(SmokeError):
    """The container ended although nobody asked it to."""


def serve(
    where: str,
    settings: Settings,
    *,
    port: int,
    connect: Connect,
    console: Console,
    environ: Mapping[str, str],
) -> None:
    """Run the image at `where`, a registry reference or a layout folder, on a loopback port (0: a free one).

    Returns after Ctrl-C; raises ServerEnded, StartFailed and what finding the image and the engine raise.
    """
    gpus = parse_gpus(settings.gpus)
    with tempfile.TemporaryDirectory(prefix="ml-containerize-") as folder:
        image = find_image(where, settings.platform, connect).into(Layout.create(Path(folder)))
        with_engine(
            settings.engine,
            engines(environ, settings.cache, run, console),
            lambda engine: _serve(engine, image, gpus, settings.startup_timeout, port, console),
            console,
        )


def _serve(
    engine: Engine, image: Image, gpus: GpuRequest, timeout: float, port: int, console: Console
) -> None:
    try:
        with ready_server(engine, image, gpus, timeout, port) as ready:
            _introduce(engine, ready, console)
            _follow(ready, console)
    except StartFailed as failure:
        console.line(failure.log)
        raise


def _introduce(engine: Engine, ready: Ready, console: Console) -> None:
    url = ready.server.url
    for notice in engine.notices:
        console.info(f"note: {notice}")
    console.info(f"ready in {ready.startup_seconds:.1f} s on {engine.name}, GPU: {ready.server.gpu}")
    console.line(f"{url} answers until Ctrl-C; ask it:")
    console.line(f"  curl -s {url}/")
    console.line(f"  {curl(url, ready.client.describe())}")


def _follow(ready: Ready, console: Console) -> None:
    """Show the container's log as it grows; Ctrl-C is the wanted end."""
    try:
        for text in ready.server.follow():
            console.line(text.rstrip("\n"))
    except KeyboardInterrupt:
        console.line("stopping")
        return
    raise ServerEnded(
        f"the container {ready.server.ended() or 'ended'}", "Its log above should say why; start it again."
    )


def curl(url: str, signature: Json) -> str:
    """A command line that asks for one prediction, with zeros in the shape that the model takes."""
    example = example_request(signature)
    body = shlex.quote(json.dumps(example)) if example else "@request.json"
    return f"curl -s {url}/predict -H 'Content-Type: application/json' -d {body}"


def example_request(signature: Json) -> Json | None:
    """One instance of zeros; None where the signature does not tell, or it would be too long to show."""
    try:
        rows = {str(spec["name"]): _zeros(spec["shape"][1:], spec["dtype"]) for spec in signature["inputs"]}
    except (KeyError, TypeError):
        return None
    if not rows or any(row is None for row in rows.values()):
        return None
    return {"instances": [next(iter(rows.values())) if len(rows) == 1 else rows]}


def _zeros(shape: Sequence[int | None], dtype: str) -> Any:
    sizes = [size or 1 for size in shape]
    return None if prod(sizes) > _MOST_ELEMENTS else nested(sizes, 0, zero(dtype))
