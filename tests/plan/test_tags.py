"""Which tags move, held against what docker/metadata-action's README says that it does.

Each row names the README's section. Of type=semver the patterns are {{version}}, {{major}}.{{minor}} and
{{major}}, the last one off for 0.x as "Major version zero" advises; flavor is latest=auto.
https://github.com/docker/metadata-action/blob/master/README.md
"""

from __future__ import annotations

from typing import Any

import pytest

from ml_containerize.names import GitSha, ModelHash, is_tag
from ml_containerize.plan.git.source import Source
from ml_containerize.plan.tags import identity_tag, moving_tags

MODEL = ModelHash("c" * 64)
SHA = GitSha("a" * 40)


def tags(latest: Any = "auto", extra: tuple[str, ...] = (), **source: Any) -> tuple[str, ...]:
    return moving_tags(Source(SHA, **source), extra, latest, "digits")


def test_the_identity_is_made_of_commit_and_model() -> None:
    assert identity_tag(Source(SHA), MODEL) == f"sha-{'a' * 12}-model-{'c' * 12}"
    assert identity_tag(Source(SHA, dirty=True), MODEL) == f"sha-{'a' * 12}-model-{'c' * 12}-dirty"
    assert identity_tag(Source(), MODEL) == f"model-{'c' * 12}"


def moved(ref: str, name: str = "digits") -> tuple[str, ...]:
    kind, _, rest = ref.removeprefix("refs/").partition("/")
    sources = {
        "heads": Source(SHA, branch=rest),
        "tags": Source(SHA, tag=rest),
        "pull": Source(SHA, pull_request=int(rest.partition("/")[0])) if kind == "pull" else Source(),
    }
    return moving_tags(sources[kind], (), "auto", name)


@pytest.mark.parametrize(
    ("section", "ref", "tags"),
    [
        ("Semver", "refs/pull/2/merge", ["pr-2"]),
        ("Semver", "refs/heads/master", ["master"]),
        ("Semver", "refs/heads/releases/v1", ["releases-v1"]),
        ("Semver", "refs/tags/v1.2.3", ["1.2.3", "1.2", "1", "latest"]),
        ("Semver", "refs/tags/v2.0.8-beta.67", ["2.0.8-beta.67"]),
        ("type=ref", "refs/heads/my/branch", ["my-branch"]),
        ("type=ref", "refs/pull/318/merge", ["pr-318"]),
        ("type=semver", "refs/tags/1.2.3", ["1.2.3", "1.2", "1", "latest"]),
        ("type=semver", "refs/tags/v1.2.3-rc.1", ["1.2.3-rc.1"]),
        ("type=semver", "refs/tags/v1.0.0-alpha", ["1.0.0-alpha"]),
        ("type=semver", "refs/tags/v10.20.30+build.5", ["10.20.30", "10.20", "10", "latest"]),
        ("type=semver", "refs/tags/v1.2.3-rc.1+build", ["1.2.3-rc.1"]),
        ("type=semver, match=digits/(.*)", "refs/tags/digits/v1.2.3", ["1.2.3", "1.2", "1", "latest"]),
        ("type=semver, match=digits/(.*)", "refs/tags/cats/v1.2.3", []),
        ("Major version zero", "refs/tags/v0.1.2", ["0.1.2", "0.1", "latest"]),
        ("Major version zero", "refs/tags/v0.1.2-rc.1", ["0.1.2-rc.1"]),
        ("Image name and tag sanitization", "refs/heads/feature/#42 (new)", ["feature-42-new-"]),
        ("Image name and tag sanitization", "refs/heads/a+b@c", ["a-b-c"]),
    ],
)
def test_tags_move_as_the_readme_of_metadata_action_says(section: str, ref: str, tags: list[str]) -> None:
    assert moved(ref) == tuple(tags), section


@pytest.mark.parametrize(
    ("ref", "theirs", "ours"),
    [
        # type=ref,event=tag: a tag that is no version is a name, but not the newest release
        ("refs/tags/nightly", ["nightly", "latest"], ["nightly"]),
        ("refs/tags/v01.2.3", ["v01.2.3", "latest"], ["v01.2.3"]),
        ("refs/tags/v1.2.3-01", ["v1.2.3-01", "latest"], ["v1.2.3-01"]),
        ("refs/tags/v1.2.3-a..b", ["v1.2.3-a..b", "latest"], ["v1.2.3-a..b"]),
        # type=pep440: a Python version is no semantic version, and stays a name
        ("refs/tags/v1.2.3rc2", ["1.2.3rc2"], ["v1.2.3rc2"]),
        ("refs/tags/v1.2", ["1.2", "latest"], ["v1.2"]),
    ],
)
def test_where_tags_move_otherwise_that_is_meant(ref: str, theirs: list[str], ours: list[str]) -> None:
    assert moved(ref) == tuple(ours) != tuple(theirs)


@pytest.mark.parametrize(
    ("tag", "of_digits", "of_cats"),
    [
        ("v1.2.3", ("1.2.3", "1.2", "1", "latest"), ("1.2.3", "1.2", "1", "latest")),
        ("digits/v1.2.3", ("1.2.3", "1.2", "1", "latest"), ()),
        ("digits/1.2.3", ("1.2.3", "1.2", "1", "latest"), ()),
        ("digits/v0.4.1", ("0.4.1", "0.4", "latest"), ()),
        ("digits/v1.2.3-rc.1", ("1.2.3-rc.1",), ()),
        ("digits/v1.2.3-" + "x" * 300, ("1.2.3-" + "x" * 122,), ()),
        ("cats/v1.2.3", (), ("1.2.3", "1.2", "1", "latest")),
        ("team/digits/v1.2.3", (), ()),
        ("digits/nightly", ("digits-nightly",), ("digits-nightly",)),
        ("digits/v1.2", ("digits-v1.2",), ("digits-v1.2",)),
    ],
)
def test_a_tag_of_one_model_is_no_version_of_another(
    tag: str, of_digits: tuple[str, ...], of_cats: tuple[str, ...]
) -> None:
    assert moved(f"refs/tags/{tag}") == of_digits
    assert moved(f"refs/tags/{tag}", "cats") == of_cats
    assert all(is_tag(name) for name in (*of_digits, *of_cats))


def test_the_identity_of_another_models_release_still_stands_and_latest_stays() -> None:
    source = Source(SHA, tag="cats/v9.9.9")
    assert moving_tags(source, ("candidate",), "auto", "digits") == ("candidate",)
    assert moving_tags(source, (), True, "digits") == ("latest",)


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
