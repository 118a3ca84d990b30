from __future__ import annotations

from pathlib import Path

import pytest
from doubles.trivy_double import FakeTrivy

from ml_containerize.command import Completed
from ml_containerize.scan.analysis import (
    NoJavaDatabase,
    Question,
    Scanner,
    ScanTimedOut,
    TrivyFailed,
    last_lines,
    seconds,
)
from ml_containerize.scan.database import DatabaseUnreachable
from ml_containerize.scan.release import Version
from ml_containerize.scan.trivy import NoSuchScanner, Trivy

FATAL = "2026-11-21T20:43:22Z\tFATAL\tFatal error\trun error: "
SECRETS = {
    "GITHUB_TOKEN": "secret",
    "ML_CONTAINERIZE_PASSWORD": "secret",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "secret",
}
QUESTION = Question(("vuln", "secret"), "30m")


def scanner(run, tmp_path: Path, **environ: str) -> Scanner:
    return Scanner(Trivy(Path("/opt/trivy"), Version(0, 74, 0)), tmp_path / "cache", run, environ)


def test_one_scan_asks_for_json_and_leaves_the_decision_to_the_policy(tmp_path: Path) -> None:
    run = FakeTrivy(report={"SchemaVersion": 2})
    body = scanner(run, tmp_path).analyse(tmp_path / "layout", QUESTION)
    assert body == b'{"SchemaVersion": 2}'
    (start,) = run.starts
    assert start.argv[:2] == ("/opt/trivy", "image")
    assert start.option("--input") == str(tmp_path / "layout")
    assert start.option("--format") == "json"
    assert start.option("--scanners") == "vuln,secret"
    assert start.option("--cache-dir") == str(tmp_path / "cache")
    assert {"--skip-db-update", "--offline-scan", "--disable-telemetry"} <= set(start.argv)
    assert not {"--severity", "--ignore-unfixed", "--ignorefile", "--exit-code"} & set(start.argv)


def test_trivy_sees_no_secret_and_no_setting_of_the_caller(tmp_path: Path) -> None:
    run = FakeTrivy()
    caller = scanner(
        run,
        tmp_path,
        PATH="/bin",
        HTTPS_PROXY="http://proxy:3128",
        HOME="/root",
        TRIVY_SEVERITY="LOW",
        **SECRETS,
    )
    caller.analyse(tmp_path, QUESTION)
    env = dict(run.starts[0].env or {})
    assert env.pop("HOME") == env.pop("TMPDIR") != "/root"
    assert env == {"PATH": "/bin", "HTTPS_PROXY": "http://proxy:3128"}
    assert caller.unread_variables == ("TRIVY_SEVERITY",)


def test_trivy_is_started_in_an_empty_folder_so_that_no_file_there_counts(tmp_path: Path) -> None:
    run = FakeTrivy()
    scanner(run, tmp_path).analyse(tmp_path, QUESTION)
    (start,) = run.starts
    assert start.files == ()
    assert start.cwd is not None
    assert not start.cwd.exists()


def test_only_the_fetching_of_the_database_gets_the_logins_for_its_registry(tmp_path: Path) -> None:
    run = FakeTrivy()
    caller = scanner(run, tmp_path, HOME="/root", TRIVY_USERNAME="ada", TRIVY_PASSWORD="x", **SECRETS)
    caller.update_database(("mirror.example/trivy-db:2", "ghcr.io/aquasecurity/trivy-db:2"), "30m")
    (start,) = run.starts
    assert start.env is not None
    assert {"HOME": "/root", "TRIVY_USERNAME": "ada", "TRIVY_PASSWORD": "x"}.items() <= start.env.items()
    assert not SECRETS.keys() & start.env.keys()
    assert [argument for argument in start.argv if argument.startswith("--db-repository")] == [
        "--db-repository=mirror.example/trivy-db:2",
        "--db-repository=ghcr.io/aquasecurity/trivy-db:2",
    ]
    assert caller.unread_variables == ()


def test_trivys_own_list_of_registries_holds_where_none_is_given(tmp_path: Path) -> None:
    run = FakeTrivy()
    scanner(run, tmp_path).update_database((), "30m")
    assert not any("db-repository" in argument for argument in run.starts[0].argv)


def test_skipping_updates_also_holds_for_the_java_database(tmp_path: Path) -> None:
    run = FakeTrivy()
    scanner(run, tmp_path).analyse(tmp_path, Question(("vuln",), "30m", update=False))
    scanner(run, tmp_path).analyse(tmp_path, Question(("vuln",), "30m", update=True))
    assert [("--skip-java-db-update" in start.argv) for start in run.starts] == [True, False]


def test_a_failure_is_told_with_trivys_last_lines(tmp_path: Path) -> None:
    run = FakeTrivy(failures=["2026-11-21T20:43:22Z\tINFO\tstarted\n" + FATAL + "image scan error: broken\n"])
    with pytest.raises(TrivyFailed) as caught:
        scanner(run, tmp_path).analyse(tmp_path, QUESTION)
    assert caught.value.what == "trivy ended with status 1: Fatal error\trun error: image scan error: broken"
    assert caught.value.exit_code == 6


def test_trivys_own_time_limit_is_told_as_such(tmp_path: Path) -> None:
    run = FakeTrivy(failures=[FATAL + "image scan error: context deadline exceeded"])
    with pytest.raises(ScanTimedOut, match="30m") as caught:
        scanner(run, tmp_path).analyse(tmp_path, QUESTION)
    assert "timeout" in caught.value.fix


def test_a_trivy_that_hangs_beyond_its_limit_is_stopped(tmp_path: Path) -> None:
    limits: list[float | None] = []

    def hang(argv, *, timeout=None, **_) -> Completed:
        limits.append(timeout)
        raise TimeoutError

    with pytest.raises(ScanTimedOut):
        scanner(hang, tmp_path).analyse(tmp_path, QUESTION)
    with pytest.raises(DatabaseUnreachable, match="no answer within 90s"):
        scanner(hang, tmp_path).update_database((), "90s")
    assert limits == [1860, 150]


def test_java_archives_without_their_database_are_a_missing_environment(tmp_path: Path) -> None:
    run = FakeTrivy(failures=[FATAL + "Unable to initialize the Java DB: Java DB update failed"])
    with pytest.raises(NoJavaDatabase) as caught:
        scanner(run, tmp_path).analyse(tmp_path, QUESTION)
    assert caught.value.exit_code == 8


def test_a_database_that_cannot_be_fetched_is_a_missing_environment(tmp_path: Path) -> None:
    run = FakeTrivy(update=lambda: FATAL + "OCI repository error: dial tcp: no such host")
    with pytest.raises(DatabaseUnreachable, match="no such host") as caught:
        scanner(run, tmp_path).update_database((), "30m")
    assert caught.value.exit_code == 8


def test_a_program_that_cannot_be_started_is_a_missing_environment(tmp_path: Path) -> None:
    def broken(argv, **_) -> Completed:
        raise OSError(8, "Exec format error")

    with pytest.raises(NoSuchScanner, match="Exec format error"):
        scanner(broken, tmp_path).analyse(tmp_path, QUESTION)


@pytest.mark.parametrize(
    ("duration", "expected"), [("30m", 1800), ("1h30m", 5400), ("1.5h", 5400), ("90s", 90), ("500ms", 0.5)]
)
def test_a_go_duration_is_understood(duration: str, expected: float) -> None:
    assert seconds(duration) == expected


def test_the_last_lines_begin_at_the_first_error_and_are_few() -> None:
    lines = ["2026-11-21T20:43:22Z\tINFO\tnoise", "2026-11-21T20:43:22Z\tERROR\tfirst", *map(str, range(9))]
    assert last_lines("\n".join(lines)) == "4\n5\n6\n7\n8"
    assert last_lines("\n".join(lines[:3])) == "first\n0"
    assert last_lines("\n".join(lines[:1])) == "noise"
    assert last_lines("") == ""
