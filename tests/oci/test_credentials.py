from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from ml_containerize.command import Completed
from ml_containerize.oci.credentials import CredentialHelperFailed, Credentials, CredentialsUnreadable, Login


def no_program(argv: Sequence[str], **_: Any) -> Completed:
    raise FileNotFoundError(argv[0])


class Helper:
    """Stands for every credential helper: answers from a table, and notes what it was asked."""

    def __init__(self, answers: Mapping[str, str], status: int = 0) -> None:
        self.answers = answers
        self.status = status
        self.asked: list[tuple[str, ...]] = []

    def __call__(self, argv: Sequence[str], *, stdin: str = "", **_: Any) -> Completed:
        self.asked.append((*argv, stdin))
        if stdin not in self.answers:
            return Completed(tuple(argv), 1, "credentials not found in native keychain\n", "")
        return Completed(tuple(argv), self.status, self.answers[stdin], "")


@pytest.fixture
def docker(tmp_path: Path) -> Path:
    """The folder of Docker's config.json."""
    return tmp_path


def gather(folder: Path, *, run: Any = no_program, **login: str) -> Credentials:
    given = {"registry": "", "username": "", "password": "", **login}
    return Credentials.gather(**given, environ={"DOCKER_CONFIG": str(folder)}, run=run)


def write(folder: Path, config: Any) -> None:
    (folder / "config.json").write_text(json.dumps(config))


def encoded(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def test_a_login_that_is_given_outright_comes_first(docker: Path) -> None:
    write(docker, {"auths": {"ghcr.io": {"auth": encoded("old", "old")}}})
    credentials = gather(docker, registry="ghcr.io", username="ada", password="secret")
    assert credentials.login("ghcr.io") == Login("ada", "secret")
    assert credentials.login("quay.io") is None


@pytest.mark.parametrize(
    ("given", "registry"),
    [
        ("https://ghcr.io", "ghcr.io"),
        ("docker.io", "docker.io"),
        ("https://index.docker.io/v1/", "docker.io"),
    ],
)
def test_a_given_registry_may_be_written_as_docker_login_takes_it(
    docker: Path, given: str, registry: str
) -> None:
    credentials = gather(docker, registry=given, username="ada", password="secret")
    assert credentials.login(registry) == Login("ada", "secret")


def test_without_any_login_a_registry_is_asked_anonymously(tmp_path: Path) -> None:
    assert gather(tmp_path / "absent").login("ghcr.io") is None
    assert Credentials().login("ghcr.io") is None


@pytest.mark.parametrize(
    ("server", "registry"),
    [
        ("ghcr.io", "ghcr.io"),
        ("https://ghcr.io", "ghcr.io"),
        ("https://ghcr.io/v2/", "ghcr.io"),
        ("localhost:5000", "localhost:5000"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("docker.io", "docker.io"),
    ],
)
def test_what_docker_login_stored_is_found(docker: Path, server: str, registry: str) -> None:
    write(docker, {"auths": {server: {"auth": encoded("ada", "se:cret")}}})
    assert gather(docker).login(registry) == Login("ada", "se:cret")


@pytest.mark.parametrize("server", ["quay.io/org", "https://quay.io/org/app", "other.io", "quay.io:444"])
def test_another_servers_login_is_never_used(docker: Path, server: str) -> None:
    write(docker, {"auths": {server: {"auth": encoded("ada", "secret")}}})
    assert gather(docker).login("quay.io") is None


def test_an_identity_token_stands_above_the_password(docker: Path) -> None:
    write(docker, {"auths": {"x.azurecr.io": {"auth": encoded("0", ""), "identitytoken": "refresh"}}})
    assert gather(docker).login("x.azurecr.io") == Login("0", "refresh", is_identity_token=True)


def test_a_registrys_own_helper_is_asked_before_the_store_for_all(docker: Path) -> None:
    write(docker, {"credHelpers": {"ghcr.io": "gh"}, "credsStore": "pass"})
    helper = Helper({"ghcr.io": json.dumps({"ServerURL": "ghcr.io", "Username": "ada", "Secret": "s"})})
    credentials = gather(docker, run=helper)
    assert credentials.login("ghcr.io") == Login("ada", "s")
    assert credentials.login("quay.io") is None
    assert helper.asked == [
        ("docker-credential-gh", "get", "ghcr.io"),
        ("docker-credential-pass", "get", "quay.io"),
    ]


def test_docker_hub_goes_by_its_old_name_with_helpers(docker: Path) -> None:
    write(docker, {"credsStore": "desktop"})
    helper = Helper({"https://index.docker.io/v1/": json.dumps({"Username": "ada", "Secret": "s"})})
    assert gather(docker, run=helper).login("docker.io") == Login("ada", "s")


def test_a_helpers_token_user_means_an_identity_token(docker: Path) -> None:
    write(docker, {"credsStore": "acr"})
    helper = Helper({"x.azurecr.io": json.dumps({"Username": "<token>", "Secret": "refresh"})})
    assert gather(docker, run=helper).login("x.azurecr.io") == Login("<token>", "refresh", True)


def test_a_helper_that_is_not_installed_is_named_with_what_to_do(docker: Path) -> None:
    write(docker, {"credsStore": "desktop"})
    with pytest.raises(
        CredentialHelperFailed, match="docker-credential-desktop, which is not installed"
    ) as e:
        gather(docker).login("ghcr.io")
    assert e.value.exit_code == 8


@pytest.mark.parametrize(
    ("answer", "status"), [("S3CRET", 2), ("S3CRET not json", 0), ('{"Secret": "S3CRET"}', 0)]
)
def test_a_broken_helpers_output_is_not_repeated(docker: Path, answer: str, status: int) -> None:
    write(docker, {"credsStore": "x"})
    with pytest.raises(CredentialHelperFailed) as error:
        gather(docker, run=Helper({"ghcr.io": answer}, status)).login("ghcr.io")
    assert "S3CRET" not in str(error.value)
    assert error.value.__cause__ is None


@pytest.mark.parametrize("content", ["{", "[]", '"text"'])
def test_a_config_that_docker_would_not_write_is_a_usage_error(docker: Path, content: str) -> None:
    (docker / "config.json").write_text(content)
    with pytest.raises(CredentialsUnreadable, match=r"config\.json"):
        gather(docker).login("ghcr.io")


@pytest.mark.parametrize("entry", [{}, {"auth": "%%%"}, {"auth": 7}, "text", {"auth": encoded("ada", "")}])
def test_an_entry_without_a_login_counts_as_none(docker: Path, entry: Any) -> None:
    write(docker, {"auths": {"ghcr.io": entry}})
    assert gather(docker).login("ghcr.io") is None


def test_home_is_where_docker_looks_without_docker_config(tmp_path: Path) -> None:
    (tmp_path / ".docker").mkdir()
    write(tmp_path / ".docker", {"auths": {"ghcr.io": {"username": "ada", "password": "s"}}})
    environ = {"HOME": str(tmp_path)}
    credentials = Credentials.gather("", "", "", environ=environ, run=no_program)
    assert credentials.login("ghcr.io") == Login("ada", "s")


def test_no_representation_shows_a_secret(docker: Path) -> None:
    credentials = gather(docker, registry="ghcr.io", username="ada", password="S3CRET")
    login = credentials.login("ghcr.io")
    assert login
    for text in (repr(credentials), str(credentials), repr(login), str(login), f"{login}"):
        assert "S3CRET" not in text
        assert login.basic not in text
