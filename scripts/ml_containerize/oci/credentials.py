"""Logins for registries: given outright, or found where `docker login` keeps them.

Docker's config.json and its credential helpers are described in Docker's documentation of `docker login`,
"Credential stores" and "Credential helper protocol". Nothing is read before a registry wants a login.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ml_containerize.command import Completed, Run, run
from ml_containerize.errors import EnvironmentMissing, UsageError
from ml_containerize.names import DOCKER_HUB

_HUB_SERVER = "https://index.docker.io/v1/"
_HUB_HOSTS = frozenset({DOCKER_HUB, "index.docker.io", "registry-1.docker.io"})
_SERVER_PATHS = frozenset({"", "/", "/v1", "/v1/", "/v2", "/v2/"})
_IDENTITY_USER = "<token>"  # a helper's way to say that the secret is an identity token
_HELPER_TIMEOUT = 60.0  # seconds; some helpers ask a cloud's API


class CredentialsUnreadable(UsageError):
    """Docker's config.json is not what Docker would write."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path} cannot be read: {why}", "Repair it, or run `docker login` again.")


class CredentialHelperFailed(EnvironmentMissing):
    """The program that should know the login is missing or broken."""

    def __init__(self, program: str, registry: str, why: str) -> None:
        super().__init__(
            f"The login for {registry} is kept by {program}, which {why}",
            f"Install {program}, or remove it from Docker's config.json, or give a user name and password.",
        )


@dataclass(frozen=True, slots=True)
class Login:
    """Who we are to a registry: a user with a password, or an identity token (OAuth2 refresh token)."""

    username: str
    secret: str = field(repr=False)
    is_identity_token: bool = False

    @property
    def basic(self) -> str:
        """The value of an `Authorization: Basic` header (RFC 7617)."""
        return base64.b64encode(f"{self.username}:{self.secret}".encode()).decode()


@dataclass(frozen=True, slots=True)
class Credentials:
    """Every login that can be found: `explicit` ones by registry, then Docker's own."""

    explicit: Mapping[str, Login] = field(default_factory=dict)
    docker_config: Path | None = None
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    run: Run = field(default=run, repr=False)

    @classmethod
    def gather(
        cls, registry: str, username: str, password: str, *, environ: Mapping[str, str], run: Run
    ) -> Credentials:
        """The login given for one registry, and the place of Docker's own logins; nothing is read yet."""
        host = _host(registry)
        name = DOCKER_HUB if host in _HUB_HOSTS else host
        explicit = {name: Login(username, password)} if name and username and password else {}
        return cls(explicit, _docker_config(environ), environ, run)

    def login(self, registry: str) -> Login | None:
        """The login for a registry, None to stay anonymous.

        Raises CredentialsUnreadable and CredentialHelperFailed.
        """
        if registry in self.explicit:
            return self.explicit[registry]
        config = _read(self.docker_config)
        helper = _helper_for(config, registry)
        return (self._ask(helper, registry) if helper else None) or _stored(config, registry)

    def _ask(self, helper: str, registry: str) -> Login | None:
        program = f"docker-credential-{helper}"
        server = _HUB_SERVER if registry in _HUB_HOSTS else registry
        try:
            done = self.run([program, "get"], stdin=server, timeout=_HELPER_TIMEOUT)
        except FileNotFoundError as error:
            raise CredentialHelperFailed(program, registry, "is not installed") from error
        except (OSError, TimeoutError) as error:
            raise CredentialHelperFailed(program, registry, f"does not run: {error}") from error
        return _answer(done, program, registry)


def _docker_config(environ: Mapping[str, str]) -> Path | None:
    if folder := environ.get("DOCKER_CONFIG"):
        return Path(folder) / "config.json"
    return Path(environ["HOME"]) / ".docker/config.json" if environ.get("HOME") else None


def _read(path: Path | None) -> dict[str, Any]:
    try:
        config = json.loads(path.read_bytes()) if path else {}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise CredentialsUnreadable(path or Path(), os.strerror(error.errno or 0)) from error
    except ValueError as error:
        raise CredentialsUnreadable(path or Path(), "it is not JSON") from error
    if not isinstance(config, dict):
        raise CredentialsUnreadable(path or Path(), "it is not a JSON object")
    return config


def _helper_for(config: Mapping[str, Any], registry: str) -> str:
    """The credential helper in charge: one for this registry, else the store for all of them."""
    helpers = _entries(config, "credHelpers")
    own = next((name for server, name in helpers.items() if _is_server(server, registry)), None)
    helper = own or config.get("credsStore") or ""
    return helper if isinstance(helper, str) else ""


def _stored(config: Mapping[str, Any], registry: str) -> Login | None:
    auths = _entries(config, "auths")
    found = (entry for server, entry in auths.items() if _is_server(server, registry))
    return next((login for entry in found if (login := _decode(entry))), None)


def _entries(config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    entries = config.get(key)
    return entries if isinstance(entries, dict) else {}


def _is_server(server: str, registry: str) -> bool:
    """True where a config.json key, a host or a server's URL, means this registry."""
    host = _host(server)
    return bool(host) and (host == registry or {host, registry} <= _HUB_HOSTS)


def _host(server: str) -> str:
    """`https://ghcr.io/v2/` → `ghcr.io`; "" for what names more than a server."""
    parts = urlsplit(server if "://" in server else f"//{server}")
    return parts.netloc if parts.path in _SERVER_PATHS else ""


def _decode(entry: object) -> Login | None:
    """One member of `auths`: `auth` is base64 of `user:password`, `identitytoken` stands above it."""
    if not isinstance(entry, dict):
        return None
    username, password = entry.get("username") or "", entry.get("password") or ""
    if entry.get("auth"):
        try:
            username, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
        except (ValueError, TypeError, binascii.Error):
            return None
    if token := entry.get("identitytoken"):
        return Login(username or _IDENTITY_USER, token, is_identity_token=True)
    return Login(username, password.rstrip("\0")) if username and password else None


def _answer(done: Completed, program: str, registry: str) -> Login | None:
    """What a helper printed; its output may hold the secret, so that no error repeats it."""
    if not done.ok:
        if "credentials not found" in (done.stdout + done.stderr).lower():
            return None
        raise CredentialHelperFailed(program, registry, f"ended with status {done.status}")
    try:
        answer = json.loads(done.stdout)
        username, secret = str(answer["Username"]), str(answer["Secret"])
    except (ValueError, KeyError, TypeError):
        raise CredentialHelperFailed(
            program, registry, "did not answer as a credential helper does"
        ) from None
    return Login(username, secret, is_identity_token=username == _IDENTITY_USER) if secret else None
