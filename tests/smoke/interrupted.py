"""A command in the middle of a smoke test, to be ended by a signal: `interrupted.py ENGINE LAYOUT CACHE`.

Prints the server's address when it is ready, then waits.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from ml_containerize.command import run
from ml_containerize.console import Console
from ml_containerize.oci.image import open_image
from ml_containerize.oci.layout import Layout
from ml_containerize.smoke.engines import engines
from ml_containerize.smoke.gpus import GpuRequest
from ml_containerize.smoke.readiness import ready_server


def end(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def main(engine: str, layout: str, cache: str) -> None:
    signal.signal(signal.SIGTERM, end)
    opened = engines(os.environ, Path(cache), run, Console(quiet=True))[engine]()
    with ready_server(opened, open_image(Layout.at(Path(layout))), GpuRequest("none"), 20) as ready:
        sys.stdout.write(f"{ready.server.url}\n")
        sys.stdout.flush()
        time.sleep(60)


if __name__ == "__main__":
    main(*sys.argv[1:])
