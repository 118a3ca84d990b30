from __future__ import annotations

import io
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest
from doubles.registry_double import RegistryDouble
from doubles.registry_fixtures import ConnectTo, MakeDouble

from ml_containerize.oci.credentials import Login
from ml_containerize.oci.descriptor import Descriptor
from ml_containerize.oci.refusals import TooLarge, Unavailable, Unreachable, WrongDigest
from ml_containerize.oci.registry import RegistryClient
from ml_containerize.oci.upload_body import BlobUnreadable
from ml_containerize.oci.uploads import BlobRefused, Upload

MIB = 1 << 20
SMALL = b"a small blob"
LARGE = os.urandom(MIB) * 6
HALF = 3 * MIB


def described(content: bytes) -> Descriptor:
    return Descriptor.of(content, "application/octet-stream")


def opener(content: bytes) -> Callable[[], BinaryIO]:
    return lambda: io.BytesIO(content)


def upload(client: RegistryClient, content: bytes) -> tuple[Upload, int]:
    """The upload, and the sum of what progress was told."""
    told: list[int] = []
    done = client.upload(described(content), opener(content), advance=told.append)
    return done, sum(told)


def test_a_small_blob_goes_in_one_put(double: RegistryDouble, connect: ConnectTo) -> None:
    assert upload(connect(double), SMALL) == (Upload("uploaded", len(SMALL)), len(SMALL))
    assert double.count() == {"HEAD": 1, "POST": 1, "PUT": 1}
    assert double.blobs["org/app"][str(described(SMALL).digest)] == SMALL


def test_a_large_blob_is_streamed_and_closed_under_its_digest(
    double: RegistryDouble, connect: ConnectTo
) -> None:
    assert upload(connect(double), LARGE) == (Upload("uploaded", len(LARGE)), len(LARGE))
    assert double.count() == {"HEAD": 1, "POST": 1, "PATCH": 1, "PUT": 1}
    assert double.asked("PATCH")[0].headers["content-length"] == str(len(LARGE))
    assert f"_state={len(LARGE)}&digest=sha256%3A" in double.asked("PUT")[0].query


def test_an_empty_blob_is_a_blob(double: RegistryDouble, connect: ConnectTo) -> None:
    assert upload(connect(double), b"") == (Upload("uploaded", 0), 0)
    assert b"" in double.blobs["org/app"].values()


def test_a_blob_that_is_there_is_not_sent(double: RegistryDouble, connect: ConnectTo) -> None:
    double.put_blob("org/app", LARGE)
    assert upload(connect(double), LARGE) == (Upload("present"), len(LARGE))
    assert double.count() == {"HEAD": 1}


def test_locations_may_be_absolute(make_double: MakeDouble, connect: ConnectTo) -> None:
    double = make_double(absolute_locations=True)
    assert upload(connect(double), LARGE)[0].kind == "uploaded"


def test_an_upload_that_is_taken_elsewhere_goes_there_without_the_login(
    make_double: MakeDouble, connect: ConnectTo
) -> None:
    elsewhere = make_double()
    double = make_double(auth="basic", users={"ada": "s"}, uploads_at=f"http://127.0.0.1:{elsewhere.port}")
    elsewhere.uploads["org-app-0"] = bytearray()
    upload(connect(double, login=Login("ada", "s")), SMALL)
    assert [seen.status for seen in elsewhere.asked("PUT")] == [201]
    assert "authorization" not in elsewhere.asked("PUT")[0].headers
    assert double.asked("POST")[-1].headers["authorization"].startswith("Basic ")


# Mounting


def mount(double: RegistryDouble, connect: ConnectTo, base: RegistryDouble | None = None) -> Upload:
    neighbour = connect(base or double, "org/base").repository
    return connect(double).upload(described(SMALL), opener(SMALL), mount_from=neighbour)


def test_a_neighbours_blob_is_mounted(double: RegistryDouble, connect: ConnectTo) -> None:
    double.put_blob("org/base", SMALL)
    assert mount(double, connect) == Upload("mounted")
    assert double.received == 0
    assert "from=org%2Fbase" in double.asked("POST")[0].query


def test_a_registry_that_does_not_mount_gets_the_blob_in_the_upload_it_offers(
    make_double: MakeDouble, connect: ConnectTo
) -> None:
    double = make_double(mounts=False)
    double.put_blob("org/base", SMALL)
    assert mount(double, connect) == Upload("uploaded", len(SMALL))
    assert double.count()["POST"] == 1


@pytest.mark.parametrize("status", [400, 403, 404, 405])
def test_a_mount_that_is_refused_falls_back_to_an_upload(
    double: RegistryDouble, connect: ConnectTo, status: int
) -> None:
    double.fail("POST", status=status)
    assert mount(double, connect) == Upload("uploaded", len(SMALL))


def test_another_registrys_blob_is_not_mounted(make_double: MakeDouble, connect: ConnectTo) -> None:
    double, other = make_double(), make_double()
    assert mount(double, connect, other).kind == "uploaded"
    assert double.asked("POST")[0].query == ""


# Broken connections


def test_a_connection_reset_in_the_middle_of_a_blob_is_resumed_where_it_broke(
    double: RegistryDouble, connect: ConnectTo, waits: list[float]
) -> None:
    double.fail("PATCH", break_after=HALF)
    done, shown = upload(connect(double), LARGE)
    assert done.kind == "uploaded"
    assert double.received == len(LARGE)
    assert double.asked("PATCH")[1].headers["content-range"] == f"{HALF}-{len(LARGE) - 1}"
    assert shown == len(LARGE)
    assert len(waits) == 1


def test_a_registry_that_forgets_broken_uploads_gets_the_blob_anew(
    make_double: MakeDouble, connect: ConnectTo
) -> None:
    double = make_double(forgets=True)
    double.fail("PATCH", break_after=HALF)
    done, shown = upload(connect(double), LARGE)
    assert done.sent_bytes > len(LARGE)
    assert double.received == len(LARGE) + HALF
    assert shown == len(LARGE)
    assert len(double.asked("POST")) == 2


def test_a_connection_that_keeps_breaking_at_new_places_is_progress(
    double: RegistryDouble, connect: ConnectTo, waits: list[float]
) -> None:
    double.fail("PATCH", times=11, break_after=MIB // 2)
    assert upload(connect(double), LARGE)[0].kind == "uploaded"
    assert double.received == len(LARGE)
    assert set(map(round, waits)) <= {0, 1}  # the back-off starts over whenever some of the blob went through


def test_a_connection_that_breaks_without_progress_is_given_up(
    double: RegistryDouble, connect: ConnectTo, waits: list[float]
) -> None:
    double.fail("PATCH", times=99, break_after=0)
    with pytest.raises(Unreachable) as error:
        upload(connect(double), LARGE)
    assert error.value.exit_code == 8
    assert len(waits) == 4
    assert not double.blobs["org/app"]


def test_a_lost_answer_to_the_last_request_is_not_a_lost_blob(
    double: RegistryDouble, connect: ConnectTo
) -> None:
    double.fail("PUT", lost=True)
    assert upload(connect(double), LARGE)[0].kind == "uploaded"
    assert double.received == len(LARGE)
    assert len(double.asked("PUT")) == 1


def test_a_small_blob_is_sent_again_after_a_reset(double: RegistryDouble, connect: ConnectTo) -> None:
    double.fail("PUT", break_after=3)
    done, shown = upload(connect(double), SMALL)
    assert done.kind == "uploaded"
    assert shown == len(SMALL)


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
def test_500_twice_then_works(
    double: RegistryDouble, connect: ConnectTo, waits: list[float], method: str
) -> None:
    double.fail(method, times=2, status=500)
    assert upload(connect(double), LARGE)[0].kind == "uploaded"
    assert len(waits) == 2


def test_429_in_the_middle_is_waited_for(
    double: RegistryDouble, connect: ConnectTo, waits: list[float]
) -> None:
    double.fail("PATCH", status=429, headers={"Retry-After": "9"})
    assert upload(connect(double), LARGE)[0].kind == "uploaded"
    assert waits == [9.0]


def test_a_registry_that_stays_busy_is_given_up(double: RegistryDouble, connect: ConnectTo) -> None:
    double.fail("PATCH", times=99, status=503)
    with pytest.raises(Unavailable):
        upload(connect(double), LARGE)


def test_a_refusal_that_comes_before_the_body_was_read_is_understood(
    double: RegistryDouble, connect: ConnectTo
) -> None:
    double.fail("PUT", status=413, unread=True)
    with pytest.raises(TooLarge, match="client_max_body_size"):
        upload(connect(double), SMALL)


# Wrong content


WRONG = {"Docker-Content-Digest": f"sha256:{'0' * 64}"}


@pytest.mark.parametrize("method", ["HEAD", "PUT"])
def test_a_registry_that_answers_a_wrong_digest(
    double: RegistryDouble, connect: ConnectTo, method: str
) -> None:
    if method == "HEAD":
        double.put_blob("org/app", LARGE)
    double.fail(method, headers=WRONG)
    with pytest.raises(WrongDigest, match="Nothing was tagged"):
        upload(connect(double), LARGE)


@pytest.mark.parametrize("content", [SMALL, LARGE])
def test_a_local_blob_that_is_damaged_is_refused_by_its_digest(
    double: RegistryDouble, connect: ConnectTo, waits: list[float], content: bytes
) -> None:
    damaged = b"X" + content[1:]
    with pytest.raises(BlobRefused, match="DIGEST_INVALID") as error:
        connect(double).upload(described(content), opener(damaged))
    assert error.value.exit_code == 7
    assert waits == []
    assert not double.blobs["org/app"]


def test_a_local_blob_that_ends_early_is_no_network_problem(
    double: RegistryDouble, connect: ConnectTo, waits: list[float]
) -> None:
    with pytest.raises(BlobUnreadable, match="ends 5 bytes early"):
        connect(double).upload(described(LARGE), opener(LARGE[:-5]))
    assert waits == []


def test_a_local_blob_that_cannot_be_read_is_no_network_problem(
    double: RegistryDouble, connect: ConnectTo, waits: list[float], tmp_path: Path
) -> None:
    with pytest.raises(BlobUnreadable, match="No such file"):
        connect(double).upload(described(LARGE), lambda: (tmp_path / "absent").open("rb"))
    assert waits == []


# The journal: a run that was killed, and the next one


class Killed(BaseException):
    pass


def killed_at(double: RegistryDouble, connect: ConnectTo, journal: Path, at: int = HALF) -> None:
    """Start an upload that ends, as by kill -9, when so many bytes were read."""
    read = 0

    def advance(count: int) -> None:
        nonlocal read
        read += count
        if read > at:
            raise Killed

    with pytest.raises(Killed):
        connect(double, journal=journal).upload(described(LARGE), opener(LARGE), advance=advance)


def test_a_killed_run_is_resumed_by_the_next_one(
    double: RegistryDouble, connect: ConnectTo, tmp_path: Path
) -> None:
    killed_at(double, connect, tmp_path)
    received = double.wait_for_uploads()
    assert 0 < received < len(LARGE)
    shown: list[int] = []
    client = connect(double, journal=tmp_path)
    assert client.upload(described(LARGE), opener(LARGE), advance=shown.append).kind == "uploaded"
    assert double.received == len(LARGE)
    assert sum(shown) == len(LARGE)
    assert list(tmp_path.iterdir()) == []


def test_without_a_journal_the_next_run_starts_over(
    double: RegistryDouble, connect: ConnectTo, tmp_path: Path
) -> None:
    killed_at(double, connect, tmp_path)
    double.wait_for_uploads()
    assert upload(connect(double), LARGE)[0].sent_bytes == len(LARGE)


def test_the_journal_is_private_and_small(double: RegistryDouble, connect: ConnectTo, tmp_path: Path) -> None:
    journal = tmp_path / "uploads"
    killed_at(double, connect, journal)
    (entry,) = journal.iterdir()
    assert stat.S_IMODE(entry.stat().st_mode) == 0o600
    assert stat.S_IMODE(journal.stat().st_mode) == 0o700
    assert set(json.loads(entry.read_text())) == {"location"}


@pytest.mark.parametrize("content", [b"", b"{", b'{"location": 7}', b'{"location": "http://evil.example/"}'])
def test_a_damaged_journal_costs_nothing_but_the_resume(
    double: RegistryDouble, connect: ConnectTo, tmp_path: Path, content: bytes
) -> None:
    killed_at(double, connect, tmp_path)
    (entry,) = tmp_path.iterdir()
    entry.write_bytes(content)
    double.wait_for_uploads()
    done, shown = upload(connect(double, journal=tmp_path), LARGE)
    assert done == Upload("uploaded", len(LARGE))
    assert shown == len(LARGE)


def test_an_upload_that_the_registry_forgot_starts_over(
    double: RegistryDouble, connect: ConnectTo, tmp_path: Path
) -> None:
    killed_at(double, connect, tmp_path)
    double.wait_for_uploads()
    double.uploads.clear()
    assert upload(connect(double, journal=tmp_path), LARGE)[0].sent_bytes == len(LARGE)


def test_half_an_upload_is_never_trusted(double: RegistryDouble, connect: ConnectTo, tmp_path: Path) -> None:
    killed_at(double, connect, tmp_path)
    double.wait_for_uploads()
    for half in double.uploads.values():
        half[:] = b"X" * len(half)
    done, shown = upload(connect(double, journal=tmp_path), LARGE)
    assert done.sent_bytes > len(LARGE)  # the rest, and then all of it
    assert shown == len(LARGE)
    assert LARGE in double.blobs["org/app"].values()


def test_two_runs_at_once_do_not_share_an_upload(
    double: RegistryDouble, connect: ConnectTo, tmp_path: Path
) -> None:
    second: list[Upload] = []

    def opened() -> BinaryIO:
        if not second:
            second.append(Upload("present"))
            second.append(upload(connect(double, journal=tmp_path), LARGE)[0])
        return io.BytesIO(LARGE)

    first = connect(double, journal=tmp_path).upload(described(LARGE), opened)
    assert first == second[1] == Upload("uploaded", len(LARGE))
    assert len(double.asked("POST")) == 2


def test_uploads_that_nobody_came_back_for_are_forgotten_after_a_week(
    double: RegistryDouble, connect: ConnectTo, tmp_path: Path
) -> None:
    killed_at(double, connect, tmp_path)
    (entry,) = tmp_path.iterdir()
    connect(double, journal=tmp_path)
    assert entry.exists()
    os.utime(entry, (0, 0))
    connect(double, journal=tmp_path)
    assert not entry.exists()


def test_a_journal_that_cannot_be_written_does_not_stop_a_push(
    double: RegistryDouble, connect: ConnectTo, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    assert upload(connect(double, journal=tmp_path / "file"), LARGE)[0].kind == "uploaded"
