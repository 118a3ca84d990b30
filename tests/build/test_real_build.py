"""Whole builds: real packages, the real installer, the base image's real Python."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from doubles.builds import GLIBC, make_files, said
from doubles.images import write_image
from doubles.wheels import make_source_distribution, make_wheel
from support.processes import alive

from ml_containerize.build.base import DEFAULT_PATH, find_python
from ml_containerize.build.bytecode import Compiler, Source, find_bwrap
from ml_containerize.build.direct import build
from ml_containerize.build.image import own_layers
from ml_containerize.build.packages import IndexUnreachable, NoWheel, WrongHash
from ml_containerize.build.tree import Tree
from ml_containerize.build.work_folder import MEMORY, PREFIX
from ml_containerize.command import Completed, run
from ml_containerize.console import Console
from ml_containerize.names import BaseReference, Platform
from ml_containerize.oci.archive import list_entries
from ml_containerize.oci.image import Image, open_image
from ml_containerize.oci.layout import Layout
from ml_containerize.oci.registry import Connect
from ml_containerize.oci.rootfs import RootFolders
from ml_containerize.plan.decide import Plan
from ml_containerize.plan.environment.host import runs_here
from ml_containerize.plan.environment.requirements import Requirement
from ml_containerize.plan.environment.serving import serving_folder

pytestmark = pytest.mark.e2e

MakePlan = Callable[..., Plan]
PlanOf = Callable[[tuple[Requirement, ...]], Plan]
PACKAGE = {
    "greeter/__init__.py": b"import sys\n\ndef main():\n    print('hello from', sys.prefix)\n",
    "greeter/template.py": b"{{ not Python }} 1\n",
    "greeter-1.0.data/data/share/greeter/words.txt": b"hello\n",
    "greeter-1.0.data/scripts/greet-raw": b"#!python\nimport greeter\ngreeter.main()\n",
    "greeter-1.0.dist-info/entry_points.txt": b"[console_scripts]\ngreet = greeter:main\n",
}
LARGE = {"bulk/__init__.py": b"", "bulk/data.bin": bytes(32 << 20)}


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    return tmp_path / "wheels"


@pytest.fixture
def packages(wheels: Path) -> tuple[Requirement, ...]:
    return make_wheel(wheels, "bulk", "2.0", LARGE), make_wheel(wheels, "greeter", "1.0", PACKAGE)


@pytest.fixture
def environ(wheels: Path, tmp_path: Path) -> Mapping[str, str]:
    """uv's own settings for a network that is closed: a folder of wheels is the index."""
    config = tmp_path / "uv.toml"
    config.write_text(f"no-index = true\nfind-links = ['{wheels}']\n")
    return {
        "PATH": os.environ["PATH"],
        "UV_CONFIG_FILE": str(config),
        "UV_CACHE_DIR": str(tmp_path / "uv"),
    }


@pytest.fixture(scope="module")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where layers are unpacked, once for all these tests."""
    return tmp_path_factory.mktemp("rootfs")


@pytest.fixture
def plan_of(make_plan: MakePlan, base_layout: Path, rootfs: Path) -> PlanOf:
    """A plan for these packages over the real base image."""
    return lambda packages: on_real_base(make_plan(), packages, base_layout, rootfs)


@pytest.fixture
def plan(plan_of: PlanOf, packages: tuple[Requirement, ...]) -> Plan:
    return plan_of(packages)


def on_real_base(plan: Plan, packages: tuple[Requirement, ...], base_layout: Path, rootfs: Path) -> Plan:
    share_unpacked(plan.settings.cache, rootfs)
    base = open_image(Layout.at(base_layout))
    environment = replace(
        plan.environment,
        requirements=packages,
        base=BaseReference("base:1", base.digest, str(base_layout)),
        platform=base.platform,
        serving=serving_folder(),
    )
    return replace(plan, environment=environment)


def share_unpacked(cache: Path, rootfs: Path) -> None:
    cache.mkdir()
    (cache / "rootfs").symlink_to(rootfs)


def built(plan: Plan, environ: Mapping[str, str], connect: Connect, console: Console) -> Image:
    return build(plan, connect=connect, run=run, console=console, environ=environ)


def paths_of(image: Image) -> set[str]:
    """Every path that our own layers put into the image."""
    paths: set[str] = set()
    for layer in own_layers(image):
        with image.content.open(layer) as stream:
            paths |= {entry.name for entry in list_entries(stream, layer.media_type)}
    return paths


def run_inside(image: Image, cache: Path, *argv: str) -> Completed:
    """Run a program in the image's own files."""
    folders = RootFolders(cache, Console(quiet=True)).of(image)
    lower = [word for folder in folders for word in ("--overlay-src", str(folder))]
    sandbox = (
        "--unshare-all",
        "--die-with-parent",
        "--clearenv",
        *lower,
        "--ro-overlay",
        "/",
        "--proc",
        "/proc",
    )
    return run([str(find_bwrap()), *sandbox, *argv])


def test_the_image_has_a_real_virtual_environment(
    plan: Plan, environ: Mapping[str, str], connect: Connect, console: Console, rootfs: Path
) -> None:
    image = built(plan, environ, connect, console)
    asked = "import sys, site, json; print(json.dumps([sys.prefix, site.getsitepackages(), sys.executable]))"
    done = run_inside(image, rootfs, "/opt/venv/bin/python", "-c", asked)
    prefix, [site_packages, *_], executable = json.loads(done.stdout)
    assert (prefix, executable) == ("/opt/venv", "/opt/venv/bin/python")
    assert site_packages.startswith("/opt/venv/lib/python3.")
    for script in ("greet", "greet-raw"):
        done = run_inside(image, rootfs, f"/opt/venv/bin/{script}")
        assert done.stdout == "hello from /opt/venv\n", done.stderr


def test_layers_are_large_packages_all_others_the_server_and_the_model(
    plan: Plan, environ: Mapping[str, str], connect: Connect, console: Console
) -> None:
    image = built(plan, environ, connect, console)
    titles = [layer.annotations.get("org.opencontainers.image.title") for layer in image.manifest.layers]
    assert titles[-4:] == ["bulk 2.0", "Python packages", "serving", "model: model.keras"]


def test_every_module_that_compiles_has_bytecode_and_nothing_tells_of_this_machine(
    plan: Plan, environ: Mapping[str, str], connect: Connect, console: Console, tmp_path: Path, rootfs: Path
) -> None:
    image = built(plan, environ, connect, console)
    paths = paths_of(image)
    names = {path.split("site-packages/")[-1] for path in paths}
    assert any(name.startswith("greeter/__pycache__/__init__.cpython-3") for name in names)
    assert not any(name.startswith("greeter/__pycache__/template") for name in names)
    assert any("opt/serving/serving/__pycache__/__init__" in path for path in paths)
    assert "opt/venv/share/greeter/words.txt" in paths
    for path in RootFolders(rootfs, console).of(image)[-4:]:
        for file in path.rglob("*"):
            assert not file.is_file() or str(tmp_path).encode() not in file.read_bytes(), file


def test_two_builds_on_different_machines_give_the_same_digest(
    plan: Plan, environ: Mapping[str, str], connect: Connect, console: Console, tmp_path: Path, rootfs: Path
) -> None:
    digests = set()
    for number, (mask, zone) in enumerate(((0o000, "UTC"), (0o077, "Asia/Kathmandu"))):
        folder = tmp_path / f"a machine {number}" / ("deep" * 40 if number else "")
        folder.mkdir(parents=True)
        settings = replace(plan.settings, output=folder / "out", cache=folder / "cache")
        settings.output.mkdir()
        share_unpacked(settings.cache, rootfs)
        before = os.umask(mask)
        try:
            other = {**environ, "TZ": zone, "UV_CACHE_DIR": str(folder / "uv"), "UV_COMPILE_BYTECODE": "1"}
            digests.add(built(replace(plan, settings=settings), other, connect, console).digest)
        finally:
            os.umask(before)
    assert len(digests) == 1


def test_a_sandbox_and_the_bases_own_loader_compile_to_the_same_bytes(
    base_layout: Path, console: Console, tmp_path: Path, rootfs: Path
) -> None:
    base = open_image(Layout.at(base_layout))
    tree = Tree(RootFolders(rootfs, console).of(base))
    python = find_python(tree, DEFAULT_PATH, base.platform, base.name)
    names = [f"m{number}" for number in range(150)]
    made = []
    for way, (bwrap, processes) in enumerate(((find_bwrap(), 1), (None, 5))):
        work = make_files(
            tmp_path / str(way), {f"{n}.py": f"X = {{'{n}', None, 2.5}}\n".encode() for n in names}
        )
        compiler = Compiler(tree, python, run, bwrap, processes)
        compiled = compiler.compile([Source(f"{name}.py", f"opt/{name}.py") for name in names], work)
        made.append({path: Path(file).read_bytes() for path, file in compiled.items()})
    assert len(made[0]) == len(names)
    assert made[0] == made[1]


def test_a_foreign_processor_gets_packages_without_bytecode_and_is_told_so(
    make_plan: MakePlan,
    packages: tuple[Requirement, ...],
    environ: Mapping[str, str],
    connect: Connect,
    console: Console,
    tmp_path: Path,
) -> None:
    files = {
        "usr/bin/python3.12": b"",
        "lib/aarch64-linux-gnu/libc.so.6": GLIBC,
        "lib/x86_64-linux-gnu/libc.so.6": GLIBC,
    }
    foreign = next(
        one for one in (Platform("linux", "arm64"), Platform("linux", "amd64")) if not runs_here(one)
    )
    base = write_image(tmp_path / "foreign", files, platform=foreign)
    plan = make_plan()
    environment = replace(
        plan.environment,
        requirements=packages,
        base=BaseReference("base:1", base.digest, str(tmp_path / "foreign")),
        platform=foreign,
        serving=serving_folder(),
    )
    image = built(replace(plan, environment=environment), environ, connect, console)
    assert image.platform == foreign
    assert not [path for path in paths_of(image) if path.endswith(".pyc")]
    assert "not byte-compiled" in said(console)


def test_a_package_without_a_wheel_is_named(
    plan: Plan, wheels: Path, environ: Mapping[str, str], connect: Connect, console: Console
) -> None:
    source_only = make_source_distribution(wheels, "olden", "0.1")
    other = replace(plan, environment=replace(plan.environment, requirements=(source_only,)))
    with pytest.raises(NoWheel, match=r"olden==0\.1 has no wheel for Python 3\."):
        built(other, environ, connect, console)


def test_a_package_that_was_swapped_in_the_index_is_refused(
    plan: Plan, wheels: Path, environ: Mapping[str, str], connect: Connect, console: Console
) -> None:
    make_wheel(wheels, "greeter", "1.0", {**PACKAGE, "greeter/__init__.py": b"import evil\n"})
    with pytest.raises(WrongHash, match=r"greeter==1\.0"):
        built(plan, environ, connect, console)
    assert not [left for place in (plan.settings.output, MEMORY) for left in place.glob(f"{PREFIX}*")]


def test_an_index_out_of_reach_is_a_missing_environment(
    plan: Plan, environ: Mapping[str, str], connect: Connect, console: Console
) -> None:
    config = Path(environ["UV_CONFIG_FILE"])
    config.write_text("index-url = 'http://127.0.0.1:1/simple'\n")
    away = {**environ, "UV_HTTP_RETRIES": "0"}
    with pytest.raises(IndexUnreachable, match=r"127\.0\.0\.1:1"):
        built(plan, away, connect, console)


def test_files_that_two_packages_disagree_about_are_always_the_same_ones(
    plan_of: PlanOf,
    wheels: Path,
    environ: Mapping[str, str],
    connect: Connect,
    console: Console,
    rootfs: Path,
) -> None:
    both = tuple(
        make_wheel(wheels, name, "1.0", {"shared.py": f"OWNER = '{name}'\n".encode()})
        for name in ("one", "two")
    )
    image = built(plan_of(both), environ, connect, console)
    argv = ("/opt/venv/bin/python", "-c", "import shared; print(shared.OWNER)")
    assert run_inside(image, rootfs, *argv).stdout == "two\n"


BUILD_SCRIPT = """
import sys
from pathlib import Path
from ml_containerize.build.image import own_layers
from ml_containerize.build.packages import Installer
from ml_containerize.build.base import BasePython
from ml_containerize.command import run, start
from ml_containerize.plan.environment.host import runs_here
from ml_containerize.plan.environment.requirements import Requirement
import os
target = BasePython("3.12", "/usr/bin/python3.12", "x86_64", (2, 36))
locked = Requirement("flask", "3.1.3", "", ("sha256:" + "0" * 64,))
Installer(target, Path.cwd(), os.environ, run, start).install([locked], Path.cwd() / "venv")
"""


@contextmanager
def index_that_never_answers() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/simple"


def test_an_interrupt_ends_the_installer_with_the_command(tmp_path: Path) -> None:
    with index_that_never_answers() as url:
        environ = {**os.environ, "UV_DEFAULT_INDEX": url, "UV_CACHE_DIR": str(tmp_path / "uv")}
        process = subprocess.Popen(
            [sys.executable, "-c", BUILD_SCRIPT], cwd=tmp_path, env=environ, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 30
        while not uv_of(process.pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        [installer] = uv_of(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) != 0
        assert not alive(installer)


def uv_of(parent: int) -> list[int]:
    """The process that installs, once it is there."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(one) for one in children if b"install" in Path(f"/proc/{one}/cmdline").read_bytes()]
