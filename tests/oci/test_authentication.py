from __future__ import annotations

import io
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from doubles.registry_double import RegistryDouble
from doubles.registry_fixtures import ConnectTo, MakeDouble

from ml_containerize.command import Completed
from ml_containerize.names import Repository
from ml_containerize.oci.authentication import join_scopes, parse_challenges, parse_scopes, repository_scopes
from ml_containerize.oci.credentials import CredentialHelperFailed, Credentials, Login
from ml_containerize.oci.descriptor import Descriptor
from ml_containerize.oci.refusals import AccessDenied, LoginNeeded, LoginRefused, UnexpectedAnswer
from ml_containerize.oci.registry import connector
from ml_containerize.oci.transport import InsecureAddress

ADA = Login("ada", "s3cret")
USERS = {"ada": "s3cret"}
BLOB = Descriptor.of(b"content", "text/plain")


def opened() -> BinaryIO:
    return io.BytesIO(b"content")


@pytest.mark.parametrize(
    ("header", "scheme", "parameters"),
    [
        ('Basic realm="a b"', "basic", {"realm": "a b"}),
        ('Bearer realm="https://t/x",service="s"', "bearer", {"realm": "https://t/x", "service": "s"}),
        ('BEARER Realm = "https://t/" , scope="r:a:pull,push"', "bearer", {"scope": "r:a:pull,push"}),
        ('Bearer realm="a\\"b"', "bearer", {"realm": 'a"b'}),
        ("Bearer realm=plain", "bearer", {"realm": "plain"}),
    ],
)
def test_a_challenge_is_read(header: str, scheme: str, parameters: dict[str, str]) -> None:
    (challenge,) = parse_challenges([header])
    assert challenge.scheme == scheme
    assert parameters.items() <= challenge.parameters.items()


def test_several_challenges_may_stand_in_one_header_or_in_several() -> None:
    one = parse_challenges(['Basic realm="a", Bearer realm="b", scope="c"'])
    several = parse_challenges(['Basic realm="a"', 'Bearer realm="b", scope="c"'])
    assert one == several
    assert [challenge.scheme for challenge in one] == ["basic", "bearer"]


def test_what_is_no_challenge_is_none() -> None:
    assert parse_challenges(["", ", ,"]) == []


def test_scopes_of_one_resource_are_asked_for_together() -> None:
    scopes = repository_scopes("org/app", "push", "pull") | repository_scopes("org/base", "pull")
    assert join_scopes(scopes) == ["repository:org/app:pull,push", "repository:org/base:pull"]
    assert parse_scopes(" ".join(join_scopes(scopes))) == scopes


def test_a_token_is_fetched_once_and_sent_along_from_then_on(
    make_double: MakeDouble, connect: ConnectTo
) -> None:
    double = make_double(auth="token", users=USERS)
    client = connect(double, login=ADA)
    for _ in range(3):
        assert client.find_manifest("v1") is None
    assert len(double.asked("GET", "/token")) == 1
    assert [seen.status for seen in double.asked("HEAD")] == [401, 404, 404, 404]


def test_a_push_asks_for_the_right_to_push(make_double: MakeDouble, connect: ConnectTo) -> None:
    double = make_double(auth="token", users=USERS)
    assert connect(double, login=ADA).upload(BLOB, opened).kind == "uploaded"
    asked = [seen.query for seen in double.asked("GET", "/token")]
    assert asked == [
        "service=double&scope=repository%3Aorg%2Fapp%3Apull",
        "service=double&scope=repository%3Aorg%2Fapp%3Apull%2Cpush",
    ]


def test_a_mount_asks_for_the_right_to_read_the_neighbour(
    make_double: MakeDouble, connect: ConnectTo
) -> None:
    double = make_double(auth="token", users=USERS)
    double.put_blob("org/base", b"content")
    client, base = connect(double, login=ADA), connect(double, "org/base").repository
    assert client.upload(BLOB, opened, mount_from=base).kind == "mounted"
    assert "repository%3Aorg%2Fbase%3Apull" in double.asked("GET", "/token")[-1].query


def test_a_token_that_expired_is_fetched_anew(make_double: MakeDouble, connect: ConnectTo) -> None:
    double = make_double(auth="token", users=USERS)
    client = connect(double, login=ADA)
    client.find_manifest("v1")
    double.tokens.clear()  # the server forgot it before its time
    assert client.find_manifest("v1") is None
    assert len(double.asked("GET", "/token")) == 2


def test_a_token_is_renewed_before_it_expires(make_double: MakeDouble, connect: ConnectTo) -> None:
    double = make_double(auth="token", users=USERS, token_lifetime=0.5)
    client = connect(double, login=ADA)
    client.find_manifest("v1")
    time.sleep(0.42)
    client.find_manifest("v1")
    assert [seen.status for seen in double.asked("HEAD")] == [401, 404, 404]
    assert len(double.asked("GET", "/token")) == 2


@pytest.mark.parametrize("key", ["token", "access_token"])
def test_a_token_may_go_by_either_name(make_double: MakeDouble, connect: ConnectTo, key: str) -> None:
    double = make_double(auth="token", users=USERS, token_key=key)
    assert connect(double, login=ADA).find_manifest("v1") is None


def test_an_identity_token_is_exchanged_by_a_form(make_double: MakeDouble, connect: ConnectTo) -> None:
    double = make_double(auth="token", identity_tokens=frozenset({"refresh"}))
    login = Login("<token>", "refresh", is_identity_token=True)
    assert connect(double, login=login).find_manifest("v1") is None
    assert [seen.status for seen in double.asked("POST", "/token")] == [200]
    assert not double.asked("GET", "/token")


def test_a_public_repository_is_read_with_an_anonymous_token(
    make_double: MakeDouble, connect: ConnectTo
) -> None:
    double = make_double(auth="token", anonymous=frozenset({"pull"}))
    assert connect(double).find_manifest("v1") is None
    assert "authorization" not in double.asked("GET", "/token")[0].headers


@pytest.mark.parametrize("auth", ["basic", "token"])
def test_a_registry_that_needs_a_login_says_how_to_give_one(
    make_double: MakeDouble, connect: ConnectTo, auth: str
) -> None:
    double = make_double(auth=auth, users=USERS)
    with pytest.raises(LoginNeeded, match=rf"docker login localhost:{double.port}") as error:
        connect(double).find_manifest("v1")
    assert error.value.exit_code == 7


@pytest.mark.parametrize("auth", ["basic", "token"])
def test_a_registry_that_refuses_the_login(make_double: MakeDouble, connect: ConnectTo, auth: str) -> None:
    double = make_double(auth=auth, users=USERS)
    with pytest.raises(LoginRefused, match="refused the login of 'ada'") as error:
        connect(double, login=Login("ada", "WR0NG")).upload(BLOB, opened)
    assert error.value.exit_code == 7
    assert "WR0NG" not in str(error.value)
    assert not double.blobs["org/app"]


def test_an_identity_token_that_was_revoked(make_double: MakeDouble, connect: ConnectTo) -> None:
    double = make_double(auth="token")
    with pytest.raises(LoginRefused):
        connect(double, login=Login("<token>", "gone", True)).find_manifest("v1")


@pytest.mark.parametrize("auth", ["basic", "token"])
def test_an_account_that_may_only_read_is_denied_and_told(
    make_double: MakeDouble, connect: ConnectTo, auth: str
) -> None:
    double = make_double(auth=auth, users=USERS, allowed={"ada": frozenset({"pull"})})
    with pytest.raises(AccessDenied, match=r"does not allow to upload sha256:\w+ to localhost") as error:
        connect(double, login=ADA).upload(BLOB, opened)
    assert error.value.exit_code == 7


def test_a_credential_helper_is_asked_only_when_a_registry_wants_a_login(
    make_double: MakeDouble, tmp_path: Path
) -> None:
    def absent(argv: Sequence[str], **_: Any) -> Completed:
        raise FileNotFoundError(argv[0])

    (tmp_path / "config.json").write_text('{"credsStore": "absent"}')
    connect = connector(Credentials(docker_config=tmp_path / "config.json", run=absent))
    assert connect(Repository(make_double().host, "org/app")).find_manifest("v1") is None
    with pytest.raises(CredentialHelperFailed):
        connect(Repository(make_double(auth="basic").host, "org/app")).find_manifest("v1")


def test_a_token_server_beyond_loopback_without_tls_is_never_told_the_password(
    double: RegistryDouble, connect: ConnectTo
) -> None:
    challenge = {"WWW-Authenticate": 'Bearer realm="http://tokens.example/"'}
    double.fail("HEAD", status=401, headers=challenge)
    with pytest.raises(InsecureAddress, match=r"tokens\.example"):
        connect(double, login=ADA).find_manifest("v1")


def test_a_token_server_that_answers_no_token(make_double: MakeDouble, connect: ConnectTo) -> None:
    double = make_double(auth="token", users=USERS)
    double.fail("GET", "/token", body=b"<html>")
    with pytest.raises(UnexpectedAnswer, match="holds no token"):
        connect(double, login=ADA).find_manifest("v1")


def test_a_token_server_that_is_busy_is_asked_again(
    make_double: MakeDouble, connect: ConnectTo, waits: list[float]
) -> None:
    double = make_double(auth="token", users=USERS)
    double.fail("GET", "/token", status=429, headers={"Retry-After": "3"})
    assert connect(double, login=ADA).find_manifest("v1") is None
    assert waits == [3.0]


def test_no_error_repeats_a_secret_that_the_registry_echoes(
    make_double: MakeDouble, connect: ConnectTo
) -> None:
    double = make_double(auth="basic", users=USERS)
    echo = b'{"errors": [{"code": "DENIED", "message": "s3cret and YWRhOnMzY3JldA== are known"}]}'
    client = connect(double, login=ADA)
    client.find_manifest("v1")
    double.fail("POST", status=403, body=echo)
    with pytest.raises(AccessDenied) as error:
        client.upload(BLOB, opened)
    assert "*** and *** are known" in str(error.value)
