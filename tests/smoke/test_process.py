from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ml_containerize.smoke.engine import StartFailed
from ml_containerize.smoke.process import port_of, process_of


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two layers; the upper one's passwd hides the lower one's."""
    lower, upper = tmp_path / "lower", tmp_path / "upper"
    for folder in (lower, upper):
        (folder / "etc").mkdir(parents=True)
    (lower / "etc/passwd").write_text("serve:x:1:1::/lower:/bin/sh\n")
    (upper / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nserve:x:1000:1001::/home/serve:/bin/sh\n")
    (lower / "etc/group").write_text("models:x:2000:\n")
    return lower, upper


def config(**run_part: Any) -> dict[str, Any]:
    return {"config": {"Cmd": ["serve"], **run_part}}


@pytest.mark.parametrize(
    ("user", "uid", "gid", "home"),
    [
        ("", 0, 0, "/root"),
        ("65532:65532", 65532, 65532, "/"),
        ("65532", 65532, 0, "/"),
        ("serve", 1000, 1001, "/home/serve"),
        ("1000", 1000, 1001, "/home/serve"),
        ("serve:models", 1000, 2000, "/home/serve"),
    ],
)
def test_the_user_is_resolved_by_the_images_own_files(
    folders: tuple[Path, Path], user: str, uid: int, gid: int, home: str
) -> None:
    process = process_of(config(User=user), folders)
    assert (process.uid, process.gid, process.env["HOME"]) == (uid, gid, home)


@pytest.mark.parametrize("user", ["nobody", "serve:nobody"])
def test_a_user_that_the_image_does_not_know_is_told(folders: tuple[Path, Path], user: str) -> None:
    with pytest.raises(StartFailed, match="'nobody' is not in its /etc/"):
        process_of(config(User=user), folders)


def test_a_passwd_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").symlink_to("/etc/passwd")
    with pytest.raises(StartFailed):
        process_of(config(User="root"), (tmp_path,))


def test_the_command_follows_the_entrypoint() -> None:
    process = process_of({"config": {"Entrypoint": ["python"], "Cmd": ["-m", "serving"]}}, ())
    assert process.argv == ("python", "-m", "serving")


def test_an_image_without_a_command_cannot_be_started() -> None:
    with pytest.raises(StartFailed, match="neither an entrypoint nor a command"):
        process_of({"config": {}}, ())


def test_the_environment_is_the_images_with_the_usual_defaults() -> None:
    process = process_of(config(Env=["A=1=2", "PATH=/opt/venv/bin"], WorkingDir="/srv"), ())
    assert dict(process.env) == {"PATH": "/opt/venv/bin", "HOME": "/", "A": "1=2"}
    assert process.working_dir == "/srv"


@pytest.mark.parametrize(
    ("exposed", "port"),
    [(None, 8080), ({"9000/tcp": {}}, 9000), ({"53/udp": {}, "8501": {}}, 8501), ({"53/udp": {}}, 8080)],
)
def test_the_exposed_tcp_port_is_the_servers(exposed: Any, port: int) -> None:
    assert port_of({"config": {"ExposedPorts": exposed}}) == port
