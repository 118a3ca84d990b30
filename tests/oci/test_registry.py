from __future__ import annotations

import json
import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from doubles.registry_double import RegistryDouble
from doubles.registry_fixtures import ConnectTo, MakeDouble

from ml_containerize.names import Digest, Repository
from ml_containerize.oci import media
from ml_containerize.oci.credentials import Credentials
from ml_containerize.oci.document import MalformedContent
from ml_containerize.oci.refusals import Unavailable, UnexpectedAnswer, Unreachable, WrongDigest
from ml_containerize.oci.registry import ManifestNotFound, connector

INDEX = json.dumps({"schemaVersion": 2, "manifests": []}).encode()
DIGEST = Digest.of(INDEX)


@pytest.fixture
def published(double: RegistryDouble) -> RegistryDouble:
    double.put_manifest("org/app", INDEX, media.INDEX, tag="v1")
    return double


def test_a_tag_is_looked_up_without_reading_the_manifest(
    published: RegistryDouble, connect: ConnectTo
) -> None:
    found = connect(published).find_manifest("v1")
    assert found
    assert (found.digest, found.size, found.media_type) == (DIGEST, len(INDEX), media.INDEX)
    assert published.count() == {"HEAD": 1}


def test_a_manifest_is_read_with_its_descriptor(published: RegistryDouble, connect: ConnectTo) -> None:
    for reference in ("v1", DIGEST):
        descriptor, body = connect(published).get_manifest(reference)
        assert body == INDEX
        assert descriptor.digest == DIGEST
    accepted = published.seen[0].headers["accept"]
    assert media.INDEX in accepted
    assert media.DOCKER_MANIFEST in accepted


def test_what_is_not_there_is_none_when_looked_up_and_an_error_when_read(
    double: RegistryDouble, connect: ConnectTo
) -> None:
    assert connect(double).find_manifest("v1") is None
    with pytest.raises(ManifestNotFound, match=rf"localhost:{double.port}/org/app:v1 does not exist"):
        connect(double).get_manifest("v1")


def test_a_registry_that_tells_no_digest_is_read_instead(make_double: MakeDouble, connect: ConnectTo) -> None:
    double = make_double(tells_digests=False)
    double.put_manifest("org/app", INDEX, media.INDEX, tag="v1")
    found = connect(double).find_manifest("v1")
    assert found
    assert found.digest == DIGEST
    assert connect(double).put_manifest(INDEX, media.INDEX, "v2") == DIGEST


def test_a_manifest_is_published_as_exactly_its_bytes(double: RegistryDouble, connect: ConnectTo) -> None:
    assert connect(double).put_manifest(INDEX, media.INDEX, "v1") == DIGEST
    assert double.manifests["org/app"][str(DIGEST)] == (media.INDEX, INDEX)
    assert double.tags["org/app"] == {"v1": str(DIGEST)}


WRONG = {"Docker-Content-Digest": f"sha256:{'0' * 64}"}


def test_a_registry_that_answers_a_wrong_digest_when_asked_for_one(
    published: RegistryDouble, connect: ConnectTo
) -> None:
    published.fail("HEAD", headers=WRONG)
    with pytest.raises(WrongDigest, match=f"should be {DIGEST}") as error:
        connect(published).find_manifest(DIGEST)
    assert error.value.exit_code == 7


def test_a_registry_that_answers_a_wrong_digest_when_read(
    published: RegistryDouble, connect: ConnectTo
) -> None:
    published.fail("GET", headers=WRONG)
    with pytest.raises(WrongDigest):
        connect(published).get_manifest("v1")


@pytest.mark.parametrize("by_digest", [True, False])
def test_a_registry_that_answers_other_bytes_than_the_digests(
    published: RegistryDouble, connect: ConnectTo, by_digest: bool
) -> None:
    published.fail("GET", body=b"{}")
    with pytest.raises(WrongDigest):
        connect(published).get_manifest(DIGEST if by_digest else "v1")


def test_a_registry_that_stored_another_manifest_than_was_sent(
    double: RegistryDouble, connect: ConnectTo
) -> None:
    double.fail("PUT", headers=WRONG)
    with pytest.raises(WrongDigest, match="Nothing was tagged"):
        connect(double).put_manifest(INDEX, media.INDEX, DIGEST)


def test_a_digest_header_that_is_none_is_malformed(published: RegistryDouble, connect: ConnectTo) -> None:
    published.fail("HEAD", headers={"Docker-Content-Digest": "md5:x"})
    with pytest.raises(MalformedContent):
        connect(published).find_manifest("v1")


def test_a_manifest_that_is_too_large_is_not_read_to_its_end(
    double: RegistryDouble, connect: ConnectTo
) -> None:
    double.put_manifest("org/app", b" " * (5 << 20), media.INDEX, tag="v1")
    with pytest.raises(MalformedContent, match="larger than any manifest"):
        connect(double).get_manifest("v1")


def test_tags_are_listed_page_by_page(make_double: MakeDouble, connect: ConnectTo) -> None:
    double = make_double(page=2)
    assert connect(double).tags() == []
    for number in range(5):
        double.put_manifest("org/app", INDEX, media.INDEX, tag=f"v{number}")
    assert connect(double).tags() == ["v0", "v1", "v2", "v3", "v4"]


def test_429_with_retry_after_in_seconds_is_waited_for(
    published: RegistryDouble, connect: ConnectTo, waits: list[float]
) -> None:
    published.fail("HEAD", status=429, headers={"Retry-After": "7"})
    assert connect(published).find_manifest("v1")
    assert waits == [7.0]


def test_429_with_retry_after_as_a_date_is_waited_for(
    published: RegistryDouble, connect: ConnectTo, waits: list[float]
) -> None:
    moment = datetime.now(UTC) + timedelta(seconds=20)
    published.fail("HEAD", status=429, headers={"Retry-After": format_datetime(moment, usegmt=True)})
    assert connect(published).find_manifest("v1")
    assert 15 < waits[0] <= 20


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408])
def test_a_server_error_twice_then_works(
    published: RegistryDouble, connect: ConnectTo, waits: list[float], status: int
) -> None:
    published.fail("PUT", times=2, status=status)
    assert connect(published).put_manifest(INDEX, media.INDEX, "v2") == DIGEST
    assert len(waits) == 2
    assert waits[0] < waits[1]


def test_a_registry_that_stays_broken_is_given_up_after_five_attempts(
    published: RegistryDouble, connect: ConnectTo, waits: list[float]
) -> None:
    published.fail("HEAD", times=99, status=503, document="UNAVAILABLE")
    with pytest.raises(Unavailable, match="503 Service Unavailable") as error:
        connect(published).find_manifest("v1")
    assert error.value.exit_code == 8
    assert len(published.asked("HEAD")) == 5
    assert len(waits) == 4


def test_a_registry_that_asks_for_an_hour_is_told_on_at_once(
    published: RegistryDouble, connect: ConnectTo, waits: list[float]
) -> None:
    published.fail("HEAD", status=429, headers={"Retry-After": "3600"})
    with pytest.raises(Unavailable, match="It asks to wait 3600 seconds"):
        connect(published).find_manifest("v1")
    assert waits == []


def test_other_refusals_are_not_tried_again(
    published: RegistryDouble, connect: ConnectTo, waits: list[float]
) -> None:
    published.fail("PUT", status=400, document="MANIFEST_INVALID")
    with pytest.raises(UnexpectedAnswer, match="400 Bad Request, MANIFEST_INVALID: the double says"):
        connect(published).put_manifest(INDEX, media.INDEX, "v1")
    assert waits == []


def test_a_connection_that_was_reset_is_made_again(
    published: RegistryDouble, connect: ConnectTo, waits: list[float]
) -> None:
    published.fail("GET", break_after=5)
    assert connect(published).get_manifest("v1")[1] == INDEX
    assert len(waits) == 1


def test_connections_are_kept_and_shared(published: RegistryDouble, connect: ConnectTo) -> None:
    client = connect(published)
    for _ in range(5):
        client.get_manifest("v1")
        client.find_manifest("none")
    assert published.connections == 1


def test_an_idle_connection_that_the_registry_closed_costs_no_attempt(
    published: RegistryDouble, connect: ConnectTo, waits: list[float]
) -> None:
    client = connect(published)
    client.find_manifest("v1")
    published.drop_connections()
    assert client.find_manifest("v1")
    assert waits == []


def test_nobody_listening_is_exit_8_with_the_address(waits: list[float]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        client = connector(Credentials(), sleep=waits.append)(Repository(f"localhost:{port}", "x"))
        with pytest.raises(
            Unreachable, match=f"localhost:{port} cannot be reached: Connection refused"
        ) as error:
            client.find_manifest("v1")
    assert error.value.exit_code == 8
    assert len(waits) == 4


def test_what_is_no_registry_at_all_is_an_unexpected_answer(
    double: RegistryDouble, connect: ConnectTo
) -> None:
    double.fail("GET", status=200, body=b"<html>hello</html>")
    with pytest.raises(MalformedContent, match="not JSON"):
        connect(double).tags()


def test_terminal_commands_in_a_registrys_answer_do_not_reach_the_terminal(
    double: RegistryDouble, connect: ConnectTo
) -> None:
    hostile = b'{"errors": [{"code": "DENIED", "message": "\\u001b[2J gone"}]}'
    double.fail("PUT", status=400, body=hostile)
    with pytest.raises(UnexpectedAnswer) as error:
        connect(double).put_manifest(INDEX, media.INDEX, "v1")
    assert "\x1b" not in str(error.value)
