from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from doubles.trivy_double import FakeTrivy

from ml_containerize.command import Completed
from ml_containerize.console import Console
from ml_containerize.plan.decide import Plan
from ml_containerize.scan.release import Archive, MaliciousScanner, Version
from ml_containerize.scan.trivy import NoSuchScanner, ScannerTooOld, Trivy, find_trivy

STAMP = "github.com/aquasecurity/trivy/pkg/version/app.ver="


def program(path: Path, version: str = "", mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/true\n{STAMP}{version}\n" if version else "#!/bin/true\n")
    path.chmod(mode)
    return path


def never(argv: object, **_: object) -> Completed:
    raise AssertionError(f"{argv} was started")


def no_download(archive: Archive, folder: Path) -> Path:
    raise AssertionError(f"{archive.url} was downloaded")


def test_a_named_program_is_used_before_the_one_on_path(
    tmp_path: Path, make_plan: Callable[..., Plan], console: Console
) -> None:
    named = program(tmp_path / "mine" / "trivy", "0.76.0")
    other = program(tmp_path / "bin" / "trivy", "0.74.0")
    settings = make_plan(trivy_path=str(named)).settings
    environ = {"PATH": str(other.parent)}
    found = find_trivy(settings, environ=environ, run=never, console=console, download=no_download)
    assert found == Trivy(named, Version(0, 76, 0))


def test_a_named_program_that_does_not_exist_is_an_error(
    tmp_path: Path, make_plan: Callable[..., Plan], console: Console
) -> None:
    settings = make_plan(trivy_path=str(tmp_path / "trivy")).settings
    with pytest.raises(NoSuchScanner, match="does not exist"):
        find_trivy(settings, environ={}, run=never, console=console, download=no_download)


def test_a_named_program_that_is_not_executable_is_an_error(
    tmp_path: Path, make_plan: Callable[..., Plan], console: Console
) -> None:
    named = program(tmp_path / "trivy", "0.74.0", mode=0o644)
    settings = make_plan(trivy_path=str(named)).settings
    with pytest.raises(NoSuchScanner, match="is not executable"):
        find_trivy(settings, environ={}, run=never, console=console, download=no_download)


def test_a_named_program_that_is_not_trivy_is_an_error(
    tmp_path: Path, make_plan: Callable[..., Plan], console: Console
) -> None:
    settings = make_plan(trivy_path=str(program(tmp_path / "trivy"))).settings

    def other_program(argv, **_):
        return Completed(tuple(argv), 0, "hello", "")

    with pytest.raises(NoSuchScanner, match="does not say which version"):
        find_trivy(settings, environ={}, run=other_program, console=console, download=no_download)


def test_a_named_program_that_is_too_old_is_an_error(
    tmp_path: Path, make_plan: Callable[..., Plan], console: Console
) -> None:
    settings = make_plan(trivy_path=str(program(tmp_path / "trivy", "0.58.1"))).settings
    with pytest.raises(ScannerTooOld, match=r"0\.58\.1"):
        find_trivy(settings, environ={}, run=never, console=console, download=no_download)


@pytest.mark.parametrize("version", ["0.69.4", "0.69.5", "0.69.6"])
@pytest.mark.parametrize("where", ["trivy-path", "PATH"])
def test_a_malicious_program_is_refused_without_being_started(
    tmp_path: Path, make_plan: Callable[..., Plan], console: Console, version: str, where: str
) -> None:
    found = program(tmp_path / "bin" / "trivy", version)
    settings = make_plan(**({"trivy_path": str(found)} if where == "trivy-path" else {})).settings
    environ = {"PATH": str(found.parent)}
    with pytest.raises(MaliciousScanner, match="steals credentials"):
        find_trivy(settings, environ=environ, run=never, console=console, download=no_download)


def test_a_program_on_path_that_does_not_carry_its_version_is_asked_without_an_environment(
    tmp_path: Path, make_plan: Callable[..., Plan], console: Console
) -> None:
    found = program(tmp_path / "bin" / "trivy")
    environ = {"PATH": str(found.parent), "GITHUB_TOKEN": "secret"}
    run = FakeTrivy()
    trivy = find_trivy(make_plan().settings, environ=environ, run=run, console=console, download=no_download)
    assert trivy == Trivy(found, Version(0, 74, 0))
    (start,) = run.starts
    assert set(start.env or {}) == {"PATH"}


@pytest.mark.parametrize(
    ("installed", "asked", "why"),
    [("0.58.1", "", "older than"), ("0.76.0", "0.75.0", "not 0.75.0"), ("", "", "does not say")],
)
def test_the_pinned_program_is_used_where_the_one_on_path_does_not_serve(
    tmp_path: Path, make_plan: Callable[..., Plan], console: Console, installed: str, asked: str, why: str
) -> None:
    other = program(tmp_path / "bin" / "trivy", installed)
    options = {"trivy_version": asked, "trivy_sha256": "ab" * 32} if asked else {}
    settings = make_plan(**options).settings

    def download(archive: Archive, folder: Path) -> Path:
        assert folder == settings.cache / "tools"
        return folder / f"trivy-{archive.version}"

    def silent(argv, **_):
        return Completed(tuple(argv), 1, "", "")

    environ = {"PATH": str(other.parent)}
    trivy = find_trivy(settings, environ=environ, run=silent, console=console, download=download)
    assert trivy.version == Version.parse(asked or "0.74.0")
    assert why in console.stream.getvalue()


def test_the_pinned_program_is_used_where_path_has_none(
    make_plan: Callable[..., Plan], console: Console
) -> None:
    trivy = find_trivy(
        make_plan().settings,
        environ={"PATH": "/nowhere"},
        run=never,
        console=console,
        download=lambda _, folder: folder / "trivy",
    )
    assert str(trivy) == "trivy 0.74.0"
