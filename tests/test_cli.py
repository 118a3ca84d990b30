"""What is typed: a project and an image in either order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ml_containerize import cli
from ml_containerize.plan.settings.views import flags_of

IMAGE = f"ghcr.io/org/digits@sha256:{'1' * 64}"


@pytest.mark.parametrize("command", ["smoke", "scan", "push"])
@pytest.mark.parametrize(
    ("typed", "path", "image"),
    [
        ([], None, None),
        (["models/digits"], "models/digits", None),
        ([IMAGE], None, IMAGE),
        (["models/digits", IMAGE, "--tags", "1.2.3"], "models/digits", IMAGE),
        (["--tags", "1.2.3", IMAGE, "models/digits"], "models/digits", IMAGE),
    ],
)
def test_a_text_with_a_digest_is_the_image_and_another_the_project(
    command: str, typed: list[str], path: str | None, image: str | None
) -> None:
    arguments = cli.parser().parse_args([command, *typed])
    assert arguments.path == path
    assert flags_of(arguments).get("image") == image


@pytest.mark.parametrize("typed", [["a", "b"], [IMAGE, IMAGE], ["a", IMAGE, "b"]])
def test_two_of_a_kind_are_a_usage_error(typed: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["push", *typed])
    assert ended.value.code == 2
    assert "one project and one image at most" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "words"), [("run", "does every stage itself"), ("build", "makes an image, and takes none")]
)
def test_what_makes_an_image_takes_none(
    command: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    chdir: Callable[[Path], None],
) -> None:
    chdir(tmp_path)
    monkeypatch.setenv("ML_CONTAINERIZE_IMAGE", IMAGE)
    assert cli.main([command, str(tmp_path)]) == 2
    assert words in capsys.readouterr().err


def test_the_whole_job_pushes_with_tags_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], chdir: Callable[[Path], None]
) -> None:
    chdir(tmp_path)
    typed = ["run", str(tmp_path), "--push-by-digest", "--images", "ghcr.io/org/digits"]
    assert cli.main(typed) == 2
    assert "`push-by-digest` is for `build`" in capsys.readouterr().err
