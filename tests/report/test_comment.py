from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from doubles.github_double import GitHubDouble

from ml_containerize.console import Console
from ml_containerize.report.comment import MARKER, comment

PERSON = {"login": "mallory", "type": "User"}


@pytest.fixture
def github() -> Iterator[GitHubDouble]:
    with GitHubDouble() as double:
        yield double


@pytest.fixture
def environ(github: GitHubDouble, tmp_path: Path) -> dict[str, str]:
    """What the runner gives a job of pull request 7."""
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"pull_request": {"number": 7, "head": {"sha": "b" * 40}}}))
    return {
        "GITHUB_API_URL": github.url,
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_REF": "refs/pull/7/merge",
        "GITHUB_REPOSITORY": "org/models",
        "GITHUB_RUN_ID": "41",
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_SHA": "a" * 40,
        "GITHUB_TOKEN": "ghs_right",
    }


def told(text: str, environ: Mapping[str, str]) -> str:
    """Comment, and return what people were told on the way."""
    stream = io.StringIO()
    comment(text, environ, Console(stream))
    return stream.getvalue()


def test_the_first_run_creates_the_comment(github: GitHubDouble, environ: dict[str, str]) -> None:
    github.add("nice work", PERSON)
    assert told("## passed\n", environ) == ""
    assert github.bodies[1] == (
        f"{MARKER}\n<!-- run 41 -->\n## passed\n\n"
        "[the whole run](https://github.com/org/models/actions/runs/41)\n"
    )


def test_later_runs_bring_the_same_comment_up_to_date(github: GitHubDouble, environ: dict[str, str]) -> None:
    told("## failed\n", environ)
    told("## passed\n", environ | {"GITHUB_RUN_ID": "42"})
    (body,) = github.bodies
    assert "## passed" in body
    assert "run 42" in body


def test_the_same_words_are_not_written_twice(github: GitHubDouble, environ: dict[str, str]) -> None:
    told("## passed\n", environ)
    told("## passed\n", environ)
    assert not any(line.startswith("PATCH") for line in github.asked)


def test_an_earlier_run_that_ends_later_does_not_take_the_comment_back(
    github: GitHubDouble, environ: dict[str, str]
) -> None:
    told("## later\n", environ | {"GITHUB_RUN_ID": "100"})
    assert "a later run's already" in told("## earlier\n", environ | {"GITHUB_RUN_ID": "99"})
    assert "## later" in github.bodies[0]


def test_the_comment_is_found_on_later_pages(github: GitHubDouble, environ: dict[str, str]) -> None:
    github.page = 2
    for _ in range(5):
        github.add("talk", PERSON)
    github.add(f"{MARKER}\nold")
    told("## passed\n", environ)
    assert len(github.comments) == 6
    assert "## passed" in github.bodies[-1]


def test_a_persons_comment_that_pretends_to_be_ours_stays(
    github: GitHubDouble, environ: dict[str, str]
) -> None:
    github.add(f"{MARKER}\nI am the tool", PERSON)
    github.add(f"see {MARKER}")
    told("## passed\n", environ)
    assert github.bodies[0] == f"{MARKER}\nI am the tool"
    assert len(github.comments) == 3


def test_with_a_persons_token_the_comment_is_that_persons(
    github: GitHubDouble, environ: dict[str, str]
) -> None:
    github.login = "ada"
    github.add(f"{MARKER}\nof another person", PERSON)
    told("## failed\n", environ)
    told("## passed\n", environ)
    assert len(github.comments) == 2
    assert "## passed" in github.bodies[1]


def test_a_forks_token_is_a_warning_that_says_why(github: GitHubDouble, environ: dict[str, str]) -> None:
    github.reads_only = True
    said = told("## passed\n", environ)
    assert "warning: no comment was written: GitHub answered 403 (Resource not accessible" in said
    assert "A fork's pull request has a token that may only read" in said
    assert github.comments == []


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"GITHUB_TOKEN": ""}, "GITHUB_TOKEN is not set"),
        ({"GITHUB_TOKEN": "wrong"}, "GitHub answered 401 (Bad credentials)"),
        ({"GITHUB_REPOSITORY": "models"}, "does not name a repository"),
        ({"GITHUB_EVENT_PATH": "", "GITHUB_REF": "refs/heads/main"}, "this run is about no pull request"),
        ({"GITHUB_EVENT_PATH": "/nowhere/event.json"}, "which cannot be read"),
        ({"GITHUB_API_URL": "http://127.0.0.1:9"}, "GitHub cannot be reached"),
        ({"GITHUB_API_URL": "nonsense"}, "GitHub cannot be reached"),
    ],
)
def test_what_stands_in_the_way_is_a_warning(
    environ: dict[str, str], change: dict[str, str], why: str
) -> None:
    said = told("## passed\n", environ | change)
    assert why in said
    assert "ghs_right" not in said


def test_a_server_that_fails_is_asked_again(github: GitHubDouble, environ: dict[str, str]) -> None:
    github.add(f"{MARKER}\nold")
    github.broken = ["GET", "PATCH"]
    assert told("## passed\n", environ) == ""
    assert "## passed" in github.bodies[0]


def test_nothing_is_created_twice(github: GitHubDouble, environ: dict[str, str]) -> None:
    github.broken = ["POST"]
    assert "GitHub answered 502 (Server Error)" in told("## passed\n", environ)
    assert [line for line in github.asked if line.startswith("POST")] == [
        "POST /repos/org/models/issues/7/comments"
    ]


@pytest.mark.parametrize("answer", [b"<html>", b"{}", b"null"])
def test_an_answer_that_is_no_list_is_a_warning(
    github: GitHubDouble, environ: dict[str, str], answer: bytes
) -> None:
    github.nonsense = answer
    assert "no comment was written" in told("## passed\n", environ)


def test_the_token_goes_to_github_only(github: GitHubDouble, environ: dict[str, str]) -> None:
    with GitHubDouble() as other:
        github.page, github.elsewhere = 1, other.url
        github.add("talk", PERSON)
        github.add("talk", PERSON)
        told("## passed\n", environ)
        assert other.asked == []
