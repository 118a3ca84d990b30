"""What tests stand on: unit tests cannot start a process or leave this machine; end-to-end tests have the
real engine, registry and base image, and may leave nothing running.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import bcrypt
import docker
import hypothesis
import pytest
from support.processes import adopt_orphans, children
from support.programs import program
from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).parents[1]
BASE_LAYOUT = [sys.executable, ROOT / "scripts" / "base_image.py", "--layout"]
FUZZ = "tests/serving/fuzz/"
GIT_SETTINGS = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
    "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z",
}
REGISTRY_CONFIG = """\
version: 0.1
log: {{level: info, formatter: text, accesslog: {{disabled: true}}}}
storage:
  delete: {{enabled: true}}
  filesystem:
    rootdirectory: {storage}
http:
  addr: 127.0.0.1:0
"""
SMOKE = "tests/smoke/"
REGISTRY_LOGIN = "auth: {{htpasswd: {{realm: test, path: {file}}}}}\n"

MakeRegistry = Callable[..., str]


# A slow machine is no failure, and a failing example is printed rather than kept in the working tree.
hypothesis.settings.register_profile("anywhere", deadline=None, database=None)
hypothesis.settings.load_profile("anywhere")


def pytest_configure() -> None:
    """No setting of the workflow or person that runs the tests reaches them, nor do they write to a home."""
    for name in [name for name in os.environ if name.startswith(("GITHUB_", "INPUT_", "ML_CONTAINERIZE_"))]:
        del os.environ[name]
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(ROOT / ".cache" / "hypothesis")
    os.environ["KERAS_HOME"] = str(ROOT / ".cache" / "keras")
    os.environ["BUILDX_CONFIG"] = str(ROOT / ".cache" / "buildx")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first, so that several workers end together; no unit test may take long.

    Before that what only computes: end-to-end tests wait for one base image, which one worker alone makes.
    """
    items.sort(key=lambda item: (not item.nodeid.startswith(FUZZ), not is_e2e(item)))
    for item in items:
        if not is_e2e(item) and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(60))


class ByFile(LoadScopeScheduling):
    """A file's tests stay in one worker, for their fixtures; so do those of `smoke`, who count containers."""

    def _split_scope(self, nodeid: str) -> str:
        return SMOKE if nodeid.startswith(SMOKE) else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return ByFile(config, log)


def is_e2e(item: pytest.Item) -> bool:
    return item.get_closest_marker("e2e") is not None


# The guard: Python tells an audit hook of every process and connection before it is made, whoever makes it.
# https://docs.python.org/3/library/audit_events.html

PROCESSES = {
    "subprocess.Popen",
    "os.system",
    "os.fork",
    "os.forkpty",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
}
ADDRESSED = {"socket.connect", "socket.sendto", "socket.sendmsg"}
LOOKED_UP = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}

guarded = False


class NotInAUnitTest(BaseException):
    """A unit test reached for a process or the network; no Exception, so that no code recovers from it."""


def guard(event: str, arguments: Sequence[Any]) -> None:
    if not guarded:
        return
    if event in PROCESSES:
        raise NotInAUnitTest(f"{event}{arguments[:2]}: mark the test e2e, or hand in another `run`")
    if event in ADDRESSED and not is_loopback_address(arguments[1]):
        raise NotInAUnitTest(f"{event}({arguments[1]!r}): only loopback is reachable in a unit test")
    if event in LOOKED_UP and not is_loopback_host(arguments[0]):
        raise NotInAUnitTest(f"{event}({arguments[0]!r}): only loopback is reachable in a unit test")


def is_loopback_address(address: object) -> bool:
    """False for another machine's address, and for a Unix socket such as the container engine's."""
    return address is None or (isinstance(address, tuple) and is_loopback_host(address[0]))


def is_loopback_host(host: object) -> bool:
    if host in {None, "", b"", "localhost", b"localhost"}:
        return True
    text = host.decode() if isinstance(host, bytes) else str(host)
    try:
        return ip_address(text).is_loopback or ip_address(text).is_unspecified
    except ValueError:
        return False


sys.addaudithook(guard)


@pytest.fixture(autouse=True)
def _unit_tests_stay_inside(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    global guarded
    guarded = not is_e2e(request.node)
    if guarded:  # how multiprocessing starts its workers; the one way without an audit event
        monkeypatch.setattr("_posixsubprocess.fork_exec", lambda *argv: guard("os.spawn", argv))
    yield
    guarded = False


@pytest.fixture(autouse=True)
def _nothing_left_running(request: pytest.FixtureRequest) -> Iterator[None]:
    """An end-to-end test ends every process that it started, and those that these started."""
    if not is_e2e(request.node):
        yield
        return
    adopt_orphans()
    before = children()
    yield
    deadline = time.monotonic() + 5
    while (left := children() - before) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left, f"processes left running: {sorted(left)}"


# What end-to-end tests ask for.


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[docker.DockerClient]:
    """A real container engine: the machine's own, or one that is installed and started for these tests."""
    script = ROOT / "scripts" / "engine"
    was_there = subprocess.run([script, "status"], capture_output=True, check=False).returncode == 0
    started = subprocess.run([script, "start"], stderr=subprocess.PIPE, text=True, check=False)
    if started.returncode:
        pytest.fail(started.stderr, pytrace=False)
    client = docker.from_env()
    guests = Guests(of_all_workers(tmp_path_factory) / "guests.json")
    guests.enter(inventory(client))
    yield client
    left = guests.leave(inventory(client))
    client.close()
    if not was_there:
        subprocess.run([script, "stop"], check=True)
    # Only a private engine's changes are all ours.
    if not was_there or os.environ.get("ENGINE_IS_PRIVATE"):
        assert not left, f"left in the container engine: {sorted(left)}"


def of_all_workers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A temporary folder that xdist's workers share."""
    mine = tmp_path_factory.getbasetemp()
    return mine.parent if "PYTEST_XDIST_WORKER" in os.environ else mine


@dataclass(frozen=True, slots=True)
class Guests:
    """The workers that use the engine: what the last of them finds is held against what the first found."""

    book: Path

    def enter(self, found: set[str]) -> None:
        with self._entries() as entries:
            entries["before"] = entries.get("before", sorted(found))
            entries["guests"] = entries.get("guests", 0) + 1

    def leave(self, found: set[str]) -> set[str]:
        """What is left over, once nobody uses the engine any more."""
        with self._entries() as entries:
            entries["guests"] -= 1
            return set() if entries["guests"] else found - set(entries["before"])

    @contextmanager
    def _entries(self) -> Iterator[dict[str, Any]]:
        with self.book.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            entries = json.loads(file.read() or "{}")
            yield entries
            file.truncate(0)
            file.write(json.dumps(entries))


def inventory(client: docker.DockerClient) -> set[str]:
    containers = {f"container {one.name}" for one in client.containers.list(all=True)}
    images = {f"image {one.id} {' '.join(one.tags)}" for one in client.images.list()}
    return containers | images | {f"volume {one.name}" for one in client.volumes.list()}


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real registry on loopback for the whole session, as "localhost:PORT"."""
    with serve_registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture
def make_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeRegistry]:
    """Start registries of one's own: `make_registry(htpasswd={"ada": "secret"})` → "localhost:PORT"."""
    running = []

    def make(*, htpasswd: Mapping[str, str] | None = None) -> str:
        running.append(serve_registry(tmp_path_factory.mktemp("registry"), htpasswd or {}))
        return running[-1].__enter__()

    yield make
    for one in running:
        one.__exit__(None, None, None)


@contextmanager
def serve_registry(folder: Path, logins: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run docker-registry with its storage in `folder`; with logins, it asks for one."""
    config, log = folder / "config.yml", folder / "log"
    text = REGISTRY_CONFIG.format(storage=folder / "storage")
    if logins:
        passwords = folder / "htpasswd"
        passwords.write_text("".join(f"{user}:{hashed(word)}\n" for user, word in logins.items()))
        text += REGISTRY_LOGIN.format(file=passwords)
    config.write_text(text)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program("docker-registry"), "serve", config], stdout=output, stderr=output
        )
    try:
        yield f"localhost:{listening_port(process, log)}"
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(folder)


def hashed(password: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()


def listening_port(process: subprocess.Popen[bytes], log: Path) -> int:
    """The port that the kernel chose for the registry, from its own log."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        found = re.search(r"listening on 127\.0\.0\.1:(\d+)", log.read_text())
        if found:
            socket.create_connection(("127.0.0.1", int(found[1])), timeout=5).close()
            return int(found[1])
        time.sleep(0.02)
    pytest.fail(f"the registry did not start:\n{log.read_text()}", pytrace=False)


@pytest.fixture(scope="session")
def skopeo() -> str:
    """The path of skopeo: an independent reader of layouts and registries."""
    return program("skopeo")


@pytest.fixture(scope="session")
def base_layout() -> Path:
    """A small Debian or Ubuntu with Python, as an OCI layout folder; read only."""
    return Path(output_of(BASE_LAYOUT))


@pytest.fixture(scope="session")
def base_image(engine: docker.DockerClient, base_layout: Path) -> Iterator[str]:
    """The name of the same base image in the container engine, for a Dockerfile's FROM."""
    from ml_containerize.oci.image import open_image
    from ml_containerize.oci.layout import Layout

    image = open_image(Layout.at(base_layout))
    layer = Layout.at(base_layout).blob_path(image.manifest.layers[0].digest)
    name = f"localhost/ml-containerize-test-base:{os.getpid()}"
    changes = [f"ENV {pair}" for pair in image.config["config"]["Env"]]
    repository, _, tag = name.rpartition(":")
    engine.api.import_image_from_file(str(layer), repository=repository, tag=tag, changes=changes)
    yield name
    engine.images.remove(name, force=True)


@pytest.fixture
def chdir(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Work in another folder until the test ends."""
    return monkeypatch.chdir


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """The digits example as a git repository of its own, on branch main with one commit, always the same."""
    project = tmp_path / "digits"
    shutil.copytree(ROOT / "examples" / "digits", project, ignore=shutil.ignore_patterns(".*", "__pycache__"))
    for arguments in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "Add digits"]):
        output_of(["git", *arguments], cwd=project, env={**os.environ, **GIT_SETTINGS})
    return project


def output_of(argv: Sequence[str | Path], **options: Any) -> str:
    """What a program prints on stdout, without its last newline; fails the test with its stderr."""
    done = subprocess.run(list(map(str, argv)), capture_output=True, text=True, check=False, **options)
    if done.returncode:
        pytest.fail(f"{argv[0]} ended with status {done.returncode}:\n{done.stderr}", pytrace=False)
    return done.stdout.rstrip("\n")
