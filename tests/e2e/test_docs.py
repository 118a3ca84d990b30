"""Every command of the README and of docs/ is run, page by page, as a reader would type it."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.command import BIN, ROOT, Command
from support.pages import Block, blocks
from support.programs import program
from support.workflow_runner import git

SLOW = {"make demo", "make test"}  # tests/e2e/test_demo.py is the first, this run is the second
OTHER = {"docker build --build-arg MODEL=examples/digits -t digits ."}  # tests/e2e/test_dockerfile.py
RUN = blocks("console")
AUTHOR = {
    f"GIT_{who}_{what}": "ada@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
}
CLOSED = {"ML_CONTAINERIZE_ALLOW_DIRTY": "true", "ML_CONTAINERIZE_ENGINE": "embedded"}
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
PAGES = sorted({block.page for block in RUN})


def test_every_make_command_is_a_target() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {command.split()[1] for command in SLOW} <= targets


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What the pages fetch from the internet, as found on this machine: commands stay as they are written."""

    environ: Mapping[str, str]


@pytest.fixture(scope="session")
def elsewhere(
    registry: str, base_layout: Path, skopeo: str, tmp_path_factory: pytest.TempPathFactory
) -> Elsewhere:
    """GitHub, Docker Hub and trivy's database, from a git repository and a registry of our own."""
    folder = tmp_path_factory.mktemp("elsewhere")
    origin = folder / "ml-containerize.git"
    copy_of_the_project(folder / "copy")
    git(folder / "copy", "tag", "--force", "v1")
    git(folder, "clone", "-q", "--bare", "--no-hardlinks", str(folder / "copy"), str(origin))
    settings = folder / ".config" / "containers"
    settings.mkdir(parents=True)
    (settings / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    (settings / "registries.conf").write_text(
        f'[[registry]]\nprefix = "docker.io/library"\nlocation = "{registry}/library"\ninsecure = true\n'
    )
    database = trivy_database(folder / "database")
    for source, name in ((base_layout, "library/python:3.12-slim-trixie"), (database, "trivy-db:2")):
        target = ["--dest-tls-verify=false", f"docker://{registry}/{name}"]
        subprocess.run([skopeo, "--insecure-policy", "copy", "-q", f"oci:{source}", *target], check=True)
    return Elsewhere(
        {
            "HOME": str(folder),
            "TRIVY_DB_REPOSITORY": f"{registry}/trivy-db:2",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.file://{origin}.insteadOf",
            "GIT_CONFIG_VALUE_0": "https://github.com/org/ml-containerize",
        }
    )


@pytest.mark.e2e
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_commands_of_a_page_work_in_their_order(
    page: Path, command: Command, registry: str, elsewhere: Elsewhere, tmp_path: Path, free_port: int
) -> None:
    lines = [line for block in RUN if block.page == page for line in typed(block)]
    said = [line.replace("localhost:5000", registry).replace("8080", str(free_port)) for line in lines]
    programs = ":".join(str(Path(program(name)).parent) for name in ("curl", "skopeo"))
    script = ["set -eu", f'export PATH="{BIN}:$PATH:{programs}"', *shell(said, free_port)]
    environ = command.environ(tmp_path, {**AUTHOR, **CLOSED, **elsewhere.environ})
    del environ["ML_CONTAINERIZE_OUTPUT"]  # the pages name the default folder
    ran = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=STANDS.get(page.parent.name, copy_of_the_project)(tmp_path / "here"),
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=550,
    )
    assert ran.returncode == 0, ran.stderr


def nothing(folder: Path) -> Path:
    folder.mkdir()
    return folder


def repository_of_models(folder: Path) -> Path:
    """A reader's own: two models, of which one came after `origin/main`."""
    git(nothing(folder), "init", "-q", "-b", "main")
    shutil.copytree(ROOT / "examples" / "trivy-db", folder / "examples" / "trivy-db")
    for name, example in (("digits", "digits"), ("wine", "wine-sklearn")):
        git(folder, "commit", "-q", "--allow-empty", "-m", f"Before {name}")
        git(folder, "update-ref", "refs/remotes/origin/main", "HEAD")
        shutil.copytree(ROOT / "examples" / example, folder / "models" / name)
        git(folder, "add", "--all")
        git(folder, "commit", "-q", "-m", f"Add {name}")
    return folder


def trivy_database(folder: Path) -> Path:
    """The sample database as trivy finds it in a registry, in an OCI image layout."""
    made, packed = folder / "db", io.BytesIO()
    subprocess.run([sys.executable, ROOT / "examples" / "trivy-db" / "make.py", made], check=True)
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for path in sorted(made.iterdir()):
            archive.add(path, path.name)
    layer = blob(folder, packed.getvalue(), "application/vnd.aquasec.trivy.db.layer.v1.tar+gzip")
    layer["annotations"] = {"org.opencontainers.image.title": "db.tar.gz"}
    config = blob(folder, b"{}", "application/vnd.aquasec.trivy.config.v1+json")
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}
    index = {"schemaVersion": 2, "manifests": [blob(folder, json.dumps(manifest).encode(), MANIFEST)]}
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return folder


def blob(layout: Path, content: bytes, media_type: str) -> dict[str, Any]:
    """Write a blob, and describe it."""
    digest = hashlib.sha256(content).hexdigest()
    path = layout / "blobs" / "sha256" / digest
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}


def typed(block: Block) -> list[str]:
    return [line for line in block.commands() if line not in SLOW | OTHER]


def shell(lines: list[str], port: int) -> Iterator[str]:
    """The lines as a script; a server runs beside what asks it."""
    for line in lines:
        yield f"echo {shlex.quote(line)} >&2"
        if line.startswith("ml-containerize serve"):
            yield f"{line} & server=$!"
            yield "trap 'kill $server 2>/dev/null || true' EXIT"
            yield f"until curl -sf localhost:{port}/readyz >/dev/null; do kill -0 $server; sleep 0.2; done"
        elif line.startswith("curl"):
            yield f"{line} | grep -q predictions"
            yield "kill $server; wait $server || true"
        else:
            yield line


def copy_of_the_project(folder: Path) -> Path:
    """A clone on `main` with one more commit, of what is not committed yet."""
    subprocess.run(["git", "clone", "-q", "--no-hardlinks", ROOT, folder], check=True)
    listed = subprocess.run(
        ["git", "ls-files", "-mo", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    git(folder, "checkout", "-q", "-B", "main")
    git(folder, "add", "--all")
    git(folder, "commit", "-q", "--allow-empty", "-m", "What is not committed yet")
    return folder


STANDS = {"tutorial": nothing, "how-to": repository_of_models}
