"""The engines there are, opened only when one is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ml_containerize.command import Run
from ml_containerize.console import Console
from ml_containerize.smoke.engine import Engine, Open


def engines(environ: Mapping[str, str], cache: Path, run: Run, console: Console) -> Mapping[str, Open]:
    """By name, in the order in which `engine: auto` tries them."""

    def docker() -> Engine:
        from ml_containerize.smoke.docker_engine import open_docker

        return open_docker(environ, console)

    def embedded() -> Engine:
        from ml_containerize.smoke.embedded_engine import open_embedded

        return open_embedded(cache, run, console)

    return {"docker": docker, "embedded": embedded}
