"""Trivy's vulnerability database: is it there, of when is it, and may a verdict rest on it?"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ml_containerize.console import Console
from ml_containerize.errors import EnvironmentMissing

# Trivy's database is published every six hours and asks to be renewed after a day. Three days bridge an
# outage of its registry over a weekend; with a much older one, known vulnerabilities would count as unknown.
LONGEST_USE = timedelta(days=3)

_SKIP_ADVICE = "`skip-db-update: true` scans with the database that is there, and the report says so."

Update = Callable[[], None]  # brings the database up to date; raises DatabaseUnreachable


class NoDatabase(EnvironmentMissing):
    """There is no vulnerability database, and none may be fetched."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"{folder} holds no vulnerability database that can be read, and skip-db-update is true",
            "Run once without skip-db-update, or put trivy's `trivy.db` and `metadata.json` there.",
        )


class DatabaseUnreachable(EnvironmentMissing):
    """The vulnerability database could not be fetched."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"Could not fetch trivy's vulnerability database: {why}",
            f"Check the network, or name a mirror with `db-repository`. {_SKIP_ADVICE}",
        )
        self.why = why


class OutdatedDatabase(EnvironmentMissing):
    """The vulnerability database is too old for a verdict, and there is no newer one."""

    def __init__(self, database: Database, why: str) -> None:
        super().__init__(
            f"The vulnerability database is of {database.date}; more than {LONGEST_USE.days} days are too old"
            + (f", and no newer one could be fetched: {why}" if why else ""),
            f"Check the network, or the mirror in `db-repository`. {_SKIP_ADVICE}",
        )


@dataclass(frozen=True, slots=True)
class Database:
    """What `metadata.json` says of the database beside it; `note` is '' for trivy's own."""

    updated: datetime
    next_update: datetime
    note: str = ""

    @property
    def date(self) -> str:
        """RFC 3339, UTC."""
        return self.updated.strftime("%Y-%m-%dT%H:%M:%SZ")

    def is_current(self, now: datetime) -> bool:
        """True while there can be no newer one."""
        return now < self.next_update and self.is_usable(now)

    def is_usable(self, now: datetime) -> bool:
        """True while a verdict may rest on it; never for a sample, which says so in its note."""
        return not self.note and now - self.updated <= LONGEST_USE


def read_database(folder: Path) -> Database | None:
    """The database in trivy's folder `db`, None where it is missing or its metadata cannot be read."""
    try:
        facts = json.loads((folder / "metadata.json").read_bytes())
        found = Database(_time(facts["UpdatedAt"]), _time(facts["NextUpdate"]), str(facts.get("Note", "")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return found if (folder / "trivy.db").is_file() else None


def _time(text: str) -> datetime:
    """RFC 3339 as Go writes it; raises ValueError where it names no time zone."""
    parsed = datetime.fromisoformat(text)
    if parsed.tzinfo is None:
        raise ValueError(text)
    return parsed.astimezone(UTC)


def current_database(
    folder: Path, *, update: Update | None, now: datetime
) -> tuple[Database, tuple[str, ...]]:
    """The database to scan with, and what the report must say of it; `update` is None where it is not wanted.

    Raises NoDatabase, DatabaseUnreachable or OutdatedDatabase.
    """
    found = read_database(folder)
    if update is None:
        if found is None:
            raise NoDatabase(folder)
        return found, (_skipped(found, now),)
    if found and found.is_current(now):
        return found, ()
    return _updated(folder, found, update, now)


def _updated(
    folder: Path, found: Database | None, update: Update, now: datetime
) -> tuple[Database, tuple[str, ...]]:
    try:
        update()
    except DatabaseUnreachable as error:
        if found is None or found.note:
            raise
        if not found.is_usable(now):
            raise OutdatedDatabase(found, error.why) from error
        return found, (f"the database could not be updated, so the one of {found.date} served: {error.why}",)
    fetched = read_database(folder)
    if fetched is None:
        raise DatabaseUnreachable("trivy fetched it, but left nothing that can be read")
    if not fetched.is_usable(now):
        raise OutdatedDatabase(fetched, "")
    return fetched, ()


def _skipped(database: Database, now: datetime) -> str:
    days = max((now - database.updated).days, 0)
    age = "less than a day old" if not days else f"{days} day{'s' if days > 1 else ''} old"
    note = f" {database.note}" if database.note else ""
    return f"the database was not updated, as asked: it is of {database.date}, {age}.{note}"


@contextmanager
def exclusive(cache: Path, console: Console) -> Iterator[None]:
    """Hold trivy's cache folder for one run at a time; trivy gives up after seconds if another has it."""
    cache.mkdir(parents=True, exist_ok=True)
    handle = os.open(cache, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.info(f"waiting for another scan that uses {cache}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
