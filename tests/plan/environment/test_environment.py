from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ml_containerize.names import BaseReference, Digest, Platform
from ml_containerize.plan.environment.environment import environment_key, find_base, plan_environment
from ml_containerize.plan.environment.requirements import read_lock
from ml_containerize.plan.environment.serving import serving_files, serving_folder, serving_hash

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")
DIGEST = Digest("0" * 64)
HASH = "--hash=sha256:" + "0" * 64


def refuse(where: str, platform: Platform) -> BaseReference:
    raise AssertionError(f"{where} for {platform} is pinned and needs no network")


def key(tmp_path: Path, lock: str, **changes: Any) -> str:
    path = tmp_path / "requirements.lock"
    path.write_text(lock)
    usual = {"base": DIGEST, "platform": AMD64, "serving": "s", "compiled": True}
    return environment_key(locked=read_lock(path), **(usual | changes)).hex


def test_the_key_depends_on_base_platform_packages_and_server_only(tmp_path: Path) -> None:
    lock = f"flask==3.1.0 {HASH}\nnumpy==2.0 {HASH}\n"
    first = key(tmp_path, lock)
    others = [
        key(tmp_path, lock, base=Digest("1" * 64)),
        key(tmp_path, lock, platform=ARM64),
        key(tmp_path, lock, serving="t"),
        key(tmp_path, lock, compiled=False),
        key(tmp_path, lock.replace("3.1.0", "3.1.1")),
        key(tmp_path, lock.replace("0 --hash=sha256:0", "0 --hash=sha256:1")),
        key(tmp_path, f"{lock}pandas==2.0 {HASH}\n"),
    ]
    assert len({first, *others}) == len(others) + 1


def test_the_key_ignores_comments_order_and_layout_of_the_lock(tmp_path: Path) -> None:
    plain = f"flask==3.1.0 {HASH}\nnumpy==2.0 {HASH}\n"
    dressed = f"# header\nNumPy==2.0 \\\n    {HASH}  # via flask\nflask == 3.1.0 \\\n    {HASH}\n"
    assert key(tmp_path, plain) == key(tmp_path, dressed)


def test_the_model_is_no_part_of_the_key(project: Path, base: BaseReference) -> None:
    before = plan_environment(project, None, base, AMD64, "tensorflow").key
    (project / "model.keras").write_bytes(b"another")
    assert plan_environment(project, None, base, AMD64, "tensorflow").key == before


@pytest.mark.parametrize(
    ("text", "name", "where"),
    [
        ("python:3.12", "docker.io/library/python:3.12", "docker.io/library/python"),
        ("ghcr.io/org/base", "ghcr.io/org/base", "ghcr.io/org/base"),
        ("localhost:5000/base:1", "localhost:5000/base:1", "localhost:5000/base"),
    ],
)
def test_a_pinned_base_needs_no_network(text: str, name: str, where: str) -> None:
    found = find_base(f"{text}@{DIGEST}", AMD64, refuse)
    assert found == BaseReference(name, DIGEST, f"{where}@{DIGEST}")


@pytest.mark.parametrize("text", ["python:3.12", "/layouts/base"])
def test_a_tag_or_a_layout_is_resolved(text: str, base: BaseReference) -> None:
    asked: list[tuple[str, Platform]] = []

    def resolve(where: str, platform: Platform) -> BaseReference:
        asked.append((where, platform))
        return base

    assert find_base(text, ARM64, resolve) is base
    assert asked == [(text, ARM64)]


def test_the_serving_package_goes_into_images_without_its_requirements() -> None:
    folder = serving_folder()
    files = serving_files(folder)
    assert Path("__init__.py") in files
    assert not [path for path in files if "requirements" in path.parts or "__pycache__" in path.parts]


def test_a_page_beside_the_servers_code_goes_into_images_and_into_the_hash(tmp_path: Path) -> None:
    (tmp_path / "doors").mkdir()
    for name in ("app.py", "page.html", "doors/v2.json", ".hidden", "app.pyc"):
        (tmp_path / name).write_text("1")
    assert serving_files(tmp_path) == (Path("app.py"), Path("doors/v2.json"), Path("page.html"))
    first = serving_hash(tmp_path)
    (tmp_path / "page.html").write_text("2")
    assert serving_hash(tmp_path) != first


def test_the_serving_hash_knows_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1")
    first = serving_hash(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.py").write_text("")
    assert serving_hash(tmp_path) == first
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    assert serving_hash(tmp_path) != first
