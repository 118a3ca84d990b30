"""A model server that has the fault named by $FAULT; without one it predicts each row's sum.

It runs inside test images, with nothing but Python's standard library.
"""

from __future__ import annotations

import ctypes
import json
import os
import socketserver
import sys
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

CLONE_NEWUSER = 0x10000000
FAULT = os.environ.get("FAULT", "")


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def status_line(name: str) -> str:
    """A field of /proc/self/status (proc(5))."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(line.split(":", 1)[1].strip() for line in lines if line.startswith(f"{name}:"))


def can_write(folder: str) -> bool:
    try:
        path = Path(folder) / "trial"
        path.write_text("x")
        path.unlink()
    except OSError:
        return False
    return True


def can_make_user_namespaces() -> bool:
    """Tried in a process of its own, before there are threads (unshare(2))."""
    if not (child := os.fork()):
        os._exit(0 if ctypes.CDLL(None).unshare(CLONE_NEWUSER) == 0 else 1)
    return os.waitpid(child, 0)[1] == 0


def facts() -> dict[str, Any]:
    """What the sandbox lets a process see and do."""
    return {
        "uid": os.getuid(),
        "gid": os.getgid(),
        "cwd": str(Path.cwd()),
        "env": dict(os.environ),
        "capabilities": int(status_line("CapEff"), 16),
        "no_new_privileges": status_line("NoNewPrivs") == "1",
        "user_namespaces": USER_NAMESPACES,
        "processes": [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()],
        "writable": [
            folder for folder in ("/", "/opt", "/tmp", "/etc", "/dev", "/dev/shm") if can_write(folder)
        ],
        "files": sorted(str(path) for path in Path("/opt").rglob("*") if path.is_file()),
    }


USER_NAMESPACES = can_make_user_namespaces()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if FAULT == "hangs":
            time.sleep(3600)
        if self.path == "/readyz":
            self.answer(503 if FAULT == "never-ready" else 200, {"status": "the weights are missing"})
        else:
            self.answer(200, facts())

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if FAULT == "dies":
            say("the model divides by zero")
            os._exit(3)
        if FAULT == "stalls":
            time.sleep(3600)
        if not isinstance(request.get("data"), list):
            self.answer(400, {"error": "data must be a list"})
            return
        sums = [[float(sum(row)) + (0.25 if FAULT == "wrong" else 0.0)] for row in request["data"]]
        self.answer(200, {"predictions": sums, "labels": ["sum"] * len(sums)})

    def answer(self, status: int, content: dict[str, Any]) -> None:
        body = b"oops" if FAULT == "no-json" and self.path == "/predict" else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, template: str, *arguments: Any) -> None:
        say(template % arguments)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def main() -> None:
    say("loading the model")
    if FAULT == "exits":
        sys.exit("the model file is broken")
    if FAULT == "deaf":
        time.sleep(3600)
    host = os.environ.get("HOST", "")  # all interfaces: a container is reached from outside
    address = host, int(os.environ.get("PORT", "8080"))
    Server(address, Handler).serve_forever()


if __name__ == "__main__":
    main()
