from __future__ import annotations

import io
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ml_containerize.console import Console
from ml_containerize.scan.database import (
    Database,
    DatabaseUnreachable,
    NoDatabase,
    OutdatedDatabase,
    current_database,
    exclusive,
    read_database,
)

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
FRESH = ("2026-11-21T06:00:00Z", "2026-11-22T06:00:00Z")
YESTERDAYS = ("2026-11-20T06:00:00Z", "2026-11-21T06:00:00Z")
OLD = ("2026-11-17T06:00:00Z", "2026-11-18T06:00:00Z")


def unreachable() -> None:
    raise DatabaseUnreachable("no route to host")


def not_wanted() -> None:
    raise AssertionError("the database was fetched")


def test_the_database_tells_when_it_was_made(make_database: Callable[..., Path]) -> None:
    folder = make_database("2026-11-21T06:12:34.123456789Z", "2026-11-22T06:12:34.123456789Z")
    found = read_database(folder)
    assert found is not None
    assert found.date == "2026-11-21T06:12:34Z"
    assert found.next_update - found.updated == timedelta(days=1)


@pytest.mark.parametrize("metadata", ["", "{}", "[]", '{"UpdatedAt": 1, "NextUpdate": 2}', "not json"])
def test_metadata_that_cannot_be_read_is_no_database(
    make_database: Callable[..., Path], metadata: str
) -> None:
    folder = make_database(*FRESH)
    (folder / "metadata.json").write_text(metadata)
    assert read_database(folder) is None


def test_a_time_without_a_zone_is_no_database(make_database: Callable[..., Path]) -> None:
    assert read_database(make_database("2026-11-21T06:00:00", "2026-11-22T06:00:00")) is None


def test_metadata_without_the_database_beside_it_is_no_database(make_database: Callable[..., Path]) -> None:
    folder = make_database(*FRESH)
    (folder / "trivy.db").unlink()
    assert read_database(folder) is None


def test_a_current_database_is_not_fetched_again(make_database: Callable[..., Path]) -> None:
    database, notices = current_database(make_database(*FRESH), update=not_wanted, now=NOW)
    assert database.date == "2026-11-21T06:00:00Z"
    assert notices == ()


def test_a_database_that_is_due_is_fetched(make_database: Callable[..., Path]) -> None:
    folder = make_database(*YESTERDAYS)
    database, notices = current_database(folder, update=lambda: make_database(*FRESH), now=NOW)
    assert database.date == "2026-11-21T06:00:00Z"
    assert notices == ()


def test_a_missing_database_is_fetched(tmp_path: Path, make_database: Callable[..., Path]) -> None:
    folder = tmp_path / "cache" / "trivy" / "db"
    assert current_database(folder, update=lambda: make_database(*FRESH), now=NOW)[1] == ()


def test_a_missing_database_that_cannot_be_fetched_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnreachable, match="no route to host") as caught:
        current_database(tmp_path, update=unreachable, now=NOW)
    assert caught.value.exit_code == 8


def test_a_recent_database_serves_where_no_newer_one_can_be_fetched_and_the_report_says_so(
    make_database: Callable[..., Path],
) -> None:
    database, notices = current_database(make_database(*YESTERDAYS), update=unreachable, now=NOW)
    assert database.date == "2026-11-20T06:00:00Z"
    assert "could not be updated, so the one of 2026-11-20T06:00:00Z served" in notices[0]
    assert "no route to host" in notices[0]


def test_an_old_database_is_an_error_where_no_newer_one_can_be_fetched(
    make_database: Callable[..., Path],
) -> None:
    with pytest.raises(OutdatedDatabase, match="more than 3 days") as caught:
        current_database(make_database(*OLD), update=unreachable, now=NOW)
    assert caught.value.exit_code == 8
    assert "no route to host" in caught.value.what


def test_a_mirror_that_serves_an_old_database_is_an_error(make_database: Callable[..., Path]) -> None:
    folder = make_database(*YESTERDAYS)
    with pytest.raises(OutdatedDatabase):
        current_database(folder, update=lambda: make_database(*OLD), now=NOW)


def test_an_old_database_that_claims_to_need_no_update_is_fetched_again(
    make_database: Callable[..., Path],
) -> None:
    folder = make_database(OLD[0], "2099-01-01T00:00:00Z")
    database, _ = current_database(folder, update=lambda: make_database(*FRESH), now=NOW)
    assert database.date == "2026-11-21T06:00:00Z"


def test_an_update_that_leaves_nothing_readable_is_an_error(make_database: Callable[..., Path]) -> None:
    folder = make_database(*OLD)
    with pytest.raises(DatabaseUnreachable, match="nothing that can be read"):
        current_database(folder, update=(folder / "trivy.db").unlink, now=NOW)


def test_an_old_database_serves_if_the_update_is_skipped_in_so_many_words(
    make_database: Callable[..., Path],
) -> None:
    database, notices = current_database(make_database(*OLD), update=None, now=NOW)
    assert database.date == "2026-11-17T06:00:00Z"
    assert notices == ("the database was not updated, as asked: it is of 2026-11-17T06:00:00Z, 4 days old.",)


def test_skipping_the_update_does_not_help_where_there_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(NoDatabase) as caught:
        current_database(tmp_path, update=None, now=NOW)
    assert caught.value.exit_code == 8


def test_a_sample_serves_only_if_the_update_is_skipped_and_its_note_is_told(
    make_database: Callable[..., Path],
) -> None:
    folder = make_database(*FRESH, Note="It is a sample.")
    assert current_database(folder, update=None, now=NOW)[1][0].endswith("It is a sample.")
    with pytest.raises(DatabaseUnreachable):
        current_database(folder, update=unreachable, now=NOW)


def test_a_sample_is_replaced_where_the_real_database_can_be_fetched(
    make_database: Callable[..., Path],
) -> None:
    folder = make_database(*FRESH, Note="It is a sample.")
    database, notices = current_database(folder, update=lambda: make_database(*FRESH), now=NOW)
    assert database == Database(NOW.replace(hour=6), NOW.replace(hour=6) + timedelta(days=1))
    assert notices == ()


def test_a_second_scan_with_the_same_cache_waits_for_the_first(tmp_path: Path) -> None:
    order: list[str] = []
    waiting = Console(stream=io.StringIO())

    def second() -> None:
        with exclusive(tmp_path, waiting):
            order.append("second")

    other = threading.Thread(target=second)
    with exclusive(tmp_path, Console(stream=io.StringIO())):
        other.start()
        other.join(0.2)
        order.append("first")
    other.join(5)
    assert order == ["first", "second"]
    assert "waiting for another scan" in waiting.stream.getvalue()
