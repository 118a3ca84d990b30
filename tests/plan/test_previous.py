from __future__ import annotations

from pathlib import Path

import pytest

from ml_containerize.plan.git.source import Source
from ml_containerize.plan.previous import Previous, choose_previous
from ml_containerize.plan.settings.settings import load_settings

PULL = Source(pull_request=7, base_branch="main")
IMAGES = {"images": "ghcr.io/org/digits\nghcr.io/org/copy"}


def chosen(folder: Path, source: Source, **flags: str) -> Previous | None:
    named = {name.replace("_", "-"): value for name, value in flags.items()}
    return choose_previous(load_settings(folder, {**IMAGES, **named}, {}), source)


@pytest.mark.parametrize(
    ("branch", "tag"), [("main", "main"), ("release/1.x", "release-1.x"), ("$(id)`😀", "id-")]
)
def test_a_pull_request_is_compared_with_the_image_of_its_base_branch(
    tmp_path: Path, branch: str, tag: str
) -> None:
    previous = chosen(tmp_path, Source(pull_request=7, base_branch=branch))
    assert previous == Previous(f"ghcr.io/org/digits:{tag}")


def test_what_is_no_pull_request_is_compared_only_with_what_somebody_names(tmp_path: Path) -> None:
    assert chosen(tmp_path, Source(branch="main")) is None
    named = chosen(tmp_path, Source(branch="main"), compare_with="ghcr.io/org/digits:1.2")
    assert named == Previous("ghcr.io/org/digits:1.2", required=True)


def test_a_layout_folder_is_found_from_where_it_was_written(tmp_path: Path) -> None:
    previous = chosen(tmp_path, PULL, compare_with="./before")
    assert previous == Previous(str(Path.cwd() / "before"), required=True)


def test_none_compares_with_nothing(tmp_path: Path) -> None:
    assert chosen(tmp_path, PULL, compare_with="none") is None


@pytest.mark.parametrize(
    ("source", "images", "why"),
    [
        (PULL, "", "`images` names no repository"),
        (Source(pull_request=7), IMAGES["images"], "does not name the branch"),
        (Source(pull_request=7, base_branch="...."), IMAGES["images"], "does not name the branch"),
    ],
)
def test_where_no_image_can_be_named_the_reason_is_kept(
    tmp_path: Path, source: Source, images: str, why: str
) -> None:
    previous = chosen(tmp_path, source, images=images)
    assert previous
    assert (previous.where, previous.required) == ("", False)
    assert why in previous.unknown
