from __future__ import annotations

from typing import Any

import pytest

from ml_containerize.names import GitSha, ModelHash, is_tag
from ml_containerize.plan.source import Source
from ml_containerize.plan.tags import identity_tag, moving_tags

MODEL = ModelHash("c" * 64)
SHA = GitSha("a" * 40)


def tags(latest: Any = "auto", extra: tuple[str, ...] = (), **source: Any) -> tuple[str, ...]:
    return moving_tags(Source(SHA, **source), extra, latest, "digits")


def test_the_identity_is_made_of_commit_and_model() -> None:
    assert identity_tag(Source(SHA), MODEL) == f"sha-{'a' * 12}-model-{'c' * 12}"
    assert identity_tag(Source(SHA, dirty=True), MODEL) == f"sha-{'a' * 12}-model-{'c' * 12}-dirty"
    assert identity_tag(Source(), MODEL) == f"model-{'c' * 12}"


@pytest.mark.parametrize(
    ("source", "moved"),
    [
        ({"branch": "main"}, ("main",)),
        ({"branch": "releases/v1"}, ("releases-v1",)),
        ({"branch": "main", "pull_request": 7}, ("pr-7",)),
        ({"tag": "v1.2.3"}, ("1.2.3", "1.2", "1", "latest")),
        ({"tag": "1.2.3"}, ("1.2.3", "1.2", "1", "latest")),
        ({"tag": "v10.20.30+build.5"}, ("10.20.30", "10.20", "10", "latest")),
        ({"tag": "v0.4.1"}, ("0.4.1", "0.4", "latest")),
        ({"tag": "v1.2.3-rc.1"}, ("1.2.3-rc.1",)),
        ({"tag": "v1.2.3-rc.1+build"}, ("1.2.3-rc.1",)),
        ({"tag": "v1.2"}, ("v1.2",)),
        ({"tag": "v01.2.3"}, ("v01.2.3",)),
        ({"tag": "nightly"}, ("nightly",)),
        ({}, ()),
    ],
)
def test_tags_move_as_docker_metadata_action_moves_them(
    source: dict[str, Any], moved: tuple[str, ...]
) -> None:
    assert tags(**source) == moved


def test_latest_can_be_forced_and_forbidden() -> None:
    assert tags(True, branch="main") == ("main", "latest")
    assert tags(False, tag="v1.2.3") == ("1.2.3", "1.2", "1")


def test_further_tags_are_added_once() -> None:
    assert tags(extra=("main", "prod"), branch="main") == ("main", "prod")


def test_a_dirty_tree_moves_only_what_was_asked_for() -> None:
    assert tags(branch="main", dirty=True) == ()
    assert tags(tag="v1.2.3", dirty=True, extra=("test",)) == ("test",)


@pytest.mark.parametrize(
    ("branch", "moved"),
    [
        ("feature/😀-ü", ("feature---",)),
        ("\"quoted\" 'name'", ("quoted-name-",)),
        ("$(touch /tmp/x);`id`", ("touch-tmp-x-id-",)),
        ("-leading", ("leading",)),
        ("..", ()),
        ("😀", ()),
        ("a\nb", ("a-b",)),
        ("x" * 300, ("x" * 128,)),
        ("env-" + "0" * 32, ("branch-env-" + "0" * 32,)),
        ("sha-" + "0" * 12 + "-model-" + "0" * 12, ("branch-sha-" + "0" * 12 + "-model-" + "0" * 12,)),
    ],
)
def test_hostile_branch_names_become_harmless_tags(branch: str, moved: tuple[str, ...]) -> None:
    assert tags(branch=branch) == moved
    assert all(is_tag(tag) for tag in moved)


def test_a_prerelease_of_any_length_stays_a_tag() -> None:
    (tag,) = tags(tag="v1.2.3-" + "x" * 300)
    assert is_tag(tag)
