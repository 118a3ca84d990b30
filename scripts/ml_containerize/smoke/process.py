"""What an image's configuration starts, worked out as a container engine does (OCI "Image Configuration")."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ml_containerize.oci.config import env_of
from ml_containerize.results import Json
from ml_containerize.smoke.engine import DEFAULT_PORT, StartFailed

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Process:
    """A command with its environment, working folder and user, the user resolved to numbers."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    working_dir: str
    uid: int
    gid: int


def process_of(config: Json, folders: Sequence[Path]) -> Process:
    """The process of an image whose layers lie in `folders`, lowest first; raises StartFailed."""
    run_part = config.get("config") or {}
    argv = (*(run_part.get("Entrypoint") or ()), *(run_part.get("Cmd") or ()))
    if not argv:
        raise StartFailed("the image's configuration has neither an entrypoint nor a command")
    uid, gid, home = _find_user(str(run_part.get("User") or "0"), folders)
    env = {"PATH": _PATH, "HOME": home, **env_of(config)}
    return Process(argv, env, str(run_part.get("WorkingDir") or "/"), uid, gid)


def port_of(config: Json) -> int:
    """The first TCP port that the image exposes, 8080 where it exposes none."""
    exposed = (config.get("config") or {}).get("ExposedPorts") or {}
    ports = [text.partition("/")[0] for text in exposed if not text.endswith(("/udp", "/sctp"))]
    return min((int(port) for port in ports if port.isdigit()), default=DEFAULT_PORT)


def _find_user(text: str, folders: Sequence[Path]) -> tuple[int, int, str]:
    """`user`, `uid`, `user:group` or `uid:gid` → uid, gid and home folder, by the image's own passwd."""
    user, _, group = text.partition(":")
    record = next((row for row in _rows("passwd", folders, 6) if user in (row[0], row[2])), None)
    if record is None and not user.isdigit():
        raise StartFailed(f"the image's USER {user!r} is not in its /etc/passwd")
    uid = int(record[2]) if record else int(user)
    gid = _find_group(group, folders) if group else int(record[3]) if record else 0
    return uid, gid, record[5] if record else "/"


def _find_group(group: str, folders: Sequence[Path]) -> int:
    if group.isdigit():
        return int(group)
    for row in _rows("group", folders, 3):
        if row[0] == group:
            return int(row[2])
    raise StartFailed(f"the image's group {group!r} is not in its /etc/group")


def _rows(name: str, folders: Sequence[Path], fields: int) -> Iterator[list[str]]:
    """The rows of /etc/passwd or /etc/group in the topmost layer that has the file."""
    for folder in reversed(folders):
        path = folder / "etc" / name
        if path.is_file() and not path.is_symlink():
            lines = path.read_text(errors="replace").splitlines()
            yield from (row for line in lines if len(row := line.split(":")) > fields and row[2].isdigit())
            return
