from __future__ import annotations

import os

import pytest
from doubles.registry_double import RegistryDouble
from doubles.registry_fixtures import ConnectTo, MakeDouble

from ml_containerize.oci.blobs import CorruptBlob
from ml_containerize.oci.credentials import Login
from ml_containerize.oci.descriptor import Descriptor
from ml_containerize.oci.refusals import UnexpectedAnswer, Unreachable

CONTENT = os.urandom(1 << 20) * 3
BLOB = Descriptor.of(CONTENT, "application/octet-stream")
PART = 2_500_000  # bytes, beyond what one read may hold


@pytest.fixture
def stored(double: RegistryDouble) -> RegistryDouble:
    double.put_blob("org/app", CONTENT)
    return double


def read(double: RegistryDouble, connect: ConnectTo, login: Login | None = None) -> bytes:
    with connect(double, login=login).open_blob(BLOB) as stream:
        return stream.read()


def test_a_blob_is_read_as_a_stream(stored: RegistryDouble, connect: ConnectTo) -> None:
    assert read(stored, connect) == CONTENT
    assert stored.connections == 1


def test_a_blob_that_is_not_there(double: RegistryDouble, connect: ConnectTo) -> None:
    with pytest.raises(UnexpectedAnswer, match="404 Not Found, BLOB_UNKNOWN"):
        read(double, connect)


def test_a_connection_reset_in_the_middle_is_resumed_with_a_range(
    stored: RegistryDouble, connect: ConnectTo, waits: list[float]
) -> None:
    stored.fail("GET", break_after=PART)
    assert read(stored, connect) == CONTENT
    assert stored.asked("GET")[1].headers["range"].startswith("bytes=")
    assert len(waits) == 1


def test_a_registry_without_ranges_sends_it_all_again(make_double: MakeDouble, connect: ConnectTo) -> None:
    double = make_double(ranges=False)
    double.put_blob("org/app", CONTENT)
    double.fail("GET", break_after=PART)
    assert read(double, connect) == CONTENT


def test_a_stream_that_never_goes_on_is_given_up(
    stored: RegistryDouble, connect: ConnectTo, waits: list[float]
) -> None:
    stored.fail("GET", times=99, break_after=0)
    with pytest.raises(Unreachable):
        read(stored, connect)
    assert len(waits) == 4


def test_a_registry_that_is_busy_is_asked_again(
    stored: RegistryDouble, connect: ConnectTo, waits: list[float]
) -> None:
    stored.fail("GET", status=429, headers={"Retry-After": "2"})
    assert read(stored, connect) == CONTENT
    assert waits == [2.0]


@pytest.mark.parametrize("body", [b"X" * len(CONTENT), CONTENT[:-1] + b"X", CONTENT + b"more"])
def test_wrong_bytes_are_noticed_at_the_end(stored: RegistryDouble, connect: ConnectTo, body: bytes) -> None:
    stored.fail("GET", body=body)
    if body[: len(CONTENT)] == CONTENT:
        assert read(stored, connect) == CONTENT  # what follows the blob is not read
    else:
        with pytest.raises(CorruptBlob, match=f"should hold {BLOB.digest}"):
            read(stored, connect)


def test_a_redirect_to_a_storage_service_is_followed_without_the_login(
    make_double: MakeDouble, connect: ConnectTo
) -> None:
    storage = make_double()
    storage.put_blob("bucket", CONTENT)
    double = make_double(
        auth="basic", users={"ada": "s"}, redirect_to=f"http://127.0.0.1:{storage.port}/bucket"
    )
    double.put_blob("org/app", CONTENT)
    assert read(double, connect, Login("ada", "s")) == CONTENT
    assert "authorization" in double.asked("GET")[-1].headers
    assert "authorization" not in storage.asked("GET")[0].headers


def test_a_redirects_signature_is_in_no_error(make_double: MakeDouble, connect: ConnectTo) -> None:
    storage = make_double()
    double = make_double(redirect_to=f"http://127.0.0.1:{storage.port}/bucket")
    double.put_blob("org/app", CONTENT)
    with pytest.raises(UnexpectedAnswer) as error:
        read(double, connect)
    assert "signature" not in str(error.value)
    storage.fail("GET", times=99, break_after=0)
    storage.put_blob("bucket", CONTENT)
    with pytest.raises(Unreachable) as unreachable:
        read(double, connect)
    assert "signature" not in str(unreachable.value)


def test_a_redirect_out_of_tls_is_refused(stored: RegistryDouble, connect: ConnectTo) -> None:
    stored.fail("GET", status=307, headers={"Location": "http://storage.example/x"})
    with pytest.raises(Exception, match=r"Refusing to speak http with storage\.example"):
        read(stored, connect)


def test_a_redirect_without_end_is_an_unexpected_answer(stored: RegistryDouble, connect: ConnectTo) -> None:
    stored.fail("GET", times=99, status=307, headers={"Location": "/v2/org/app/blobs/x"})
    with pytest.raises(UnexpectedAnswer, match="more than 5 redirects"):
        read(stored, connect)
