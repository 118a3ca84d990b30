"""Proving who we are: challenges, Basic logins and bearer tokens.

Challenges are read as RFC 9110, section 11.6.1 says; tokens are asked for as the Distribution project's
"Token Authentication Specification" and, for identity tokens, its "OAuth2 Token Authentication" say.
"""

from __future__ import annotations

import json
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from threading import RLock
from urllib.parse import urlencode, urlsplit, urlunsplit

from ml_containerize.oci.credentials import Login
from ml_containerize.oci.refusals import LoginNeeded, LoginRefused, Refusals
from ml_containerize.oci.transport import Response

Scopes = frozenset[str]  # one action each: "repository:org/app:push"
Send = Callable[[str, str, Mapping[str, str], bytes | None], Response]

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 (RFC 9110's `token`, no secret)
_PART = re.compile(rf'({_TOKEN})(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN})))?')
_LIFETIME = 60.0  # seconds, where a token's answer does not say
_ANSWER = 1 << 20  # bytes
_CLIENT = "ml-containerize"


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to authenticate that a server offers; scheme and parameter names in lower case."""

    scheme: str
    parameters: dict[str, str]


def parse_challenges(values: Iterable[str]) -> list[Challenge]:
    """Read `WWW-Authenticate` headers, each of which may hold several challenges.

    >>> parse_challenges(['Basic realm="a", Bearer realm="https://t/",scope="x:y:pull"'])[1].parameters["scope"]
    'x:y:pull'
    """
    challenges: list[Challenge] = []
    for value in values:
        for name, quoted, bare in _PART.findall(value):
            if (quoted or bare) and challenges:
                challenges[-1].parameters[name.lower()] = _unquote(quoted) or bare
            elif not quoted and not bare:
                challenges.append(Challenge(name.lower(), {}))
    return challenges


def _unquote(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def repository_scopes(path: str, *actions: str) -> Scopes:
    return frozenset(f"repository:{path}:{action}" for action in actions)


def parse_scopes(text: str) -> Scopes:
    """`repository:a:pull,push registry:catalog:*` as one scope per action."""
    resources = (resource.rpartition(":") for resource in text.split())
    return frozenset(
        f"{name}:{action}" for name, _, actions in resources if name for action in actions.split(",")
    )


def join_scopes(scopes: Scopes) -> list[str]:
    """The wire's form: the actions of one resource together."""
    actions = defaultdict(list)
    for scope in sorted(scopes):
        resource, _, action = scope.rpartition(":")
        actions[resource].append(action)
    return [f"{resource}:{','.join(actions[resource])}" for resource in actions]


@dataclass(frozen=True, slots=True)
class _Token:
    value: str = field(repr=False)
    scopes: Scopes
    expires: float  # on the monotonic clock


class Authenticator:
    """Answers one registry's challenges, and remembers what it accepted; any thread may ask."""

    def __init__(
        self,
        registry: str,
        login: Callable[[], Login | None],
        send: Send,
        refusals: Refusals,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._find_login = login
        self._send = send
        self._refusals = refusals
        self._clock = clock
        self._lock = RLock()
        self._challenge: Challenge | None = None
        self._tokens: list[_Token] = []
        self._login: tuple[Login | None] | None = None

    @property
    def login(self) -> Login | None:
        """Looked up when a registry first asks: a credential helper may take a second."""
        if self._login is None:
            login = self._find_login()
            self._login = (login,)
            if login:
                self._refusals.secrets.update({login.secret, login.basic})
        return self._login[0]

    def header(self, scopes: Scopes) -> str | None:
        """The `Authorization` to send along, None before the first challenge."""
        with self._lock:
            if not self._challenge:
                return None
            return (
                self._basic() if self._challenge.scheme == "basic" else self._bearer(self._challenge, scopes)
            )

    def answer(self, values: list[str], scopes: Scopes, used: str | None, purpose: str) -> str | None:
        """The `Authorization` that a 401 asks for; None where we have nothing better than what was `used`.

        Raises LoginNeeded, LoginRefused, UnexpectedAnswer and Temporary.
        """
        challenge = _choose(parse_challenges(values))
        if not challenge:
            return None
        with self._lock:
            self._challenge = challenge
            self._tokens = [token for token in self._tokens if used != f"Bearer {token.value}"]
            if challenge.scheme == "bearer":
                header: str | None = self._bearer(
                    challenge, scopes | parse_scopes(challenge.parameters.get("scope", ""))
                )
            elif self.login:
                header = self._basic()
            else:
                raise LoginNeeded(self._registry, purpose)
        return header if header != used else None

    def _basic(self) -> str | None:
        return f"Basic {self.login.basic}" if self.login else None

    def _bearer(self, challenge: Challenge, scopes: Scopes) -> str:
        now = self._clock()
        self._tokens = [token for token in self._tokens if token.expires > now]
        token = next((token for token in self._tokens if scopes <= token.scopes), None)
        if not token:
            token = self._ask(challenge, scopes, now)
            self._tokens.append(token)
        return f"Bearer {token.value}"

    def _ask(self, challenge: Challenge, scopes: Scopes, now: float) -> _Token:
        purpose = f"get a token for {' '.join(join_scopes(scopes)) or self._registry}"
        response = self._request_token(challenge.parameters, scopes)
        if response.status in {400, 401, 403}:
            raise self._token_refused(response, purpose)
        if response.status != 200:
            raise self._refusals.refused(response, purpose)
        return self._read(response, scopes, now, purpose)

    def _request_token(self, parameters: Mapping[str, str], scopes: Scopes) -> Response:
        realm, service, login = parameters["realm"], parameters.get("service", ""), self.login
        if login and login.is_identity_token:
            form = {
                "grant_type": "refresh_token",
                "service": service,
                "client_id": _CLIENT,
                "scope": " ".join(join_scopes(scopes)),
                "refresh_token": login.secret,
            }
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            return self._send("POST", realm, headers, urlencode(form).encode())
        query = [("service", service)] if service else []
        url = _with_query(realm, query + [("scope", scope) for scope in join_scopes(scopes)])
        return self._send("GET", url, {"Authorization": f"Basic {login.basic}"} if login else {}, None)

    def _token_refused(self, response: Response, purpose: str) -> Exception:
        said = self._refusals.said(response)
        if self.login:
            return LoginRefused(self._registry, self.login.username, said)
        return LoginNeeded(self._registry, purpose)

    def _read(self, response: Response, scopes: Scopes, now: float, purpose: str) -> _Token:
        try:
            answer = json.loads(response.read(_ANSWER))
            value = str(answer.get("token") or answer["access_token"])
            lifetime = float(answer.get("expires_in") or _LIFETIME)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._refusals.unexpected(purpose, "the answer holds no token") from error
        self._refusals.secrets.add(value)
        return _Token(value, scopes, now + lifetime * 0.8)


def _choose(challenges: list[Challenge]) -> Challenge | None:
    """A bearer token before a password, as Docker does; None where both are not offered."""
    bearer = (c for c in challenges if c.scheme == "bearer" and c.parameters.get("realm"))
    return next(bearer, None) or next((c for c in challenges if c.scheme == "basic"), None)


def _with_query(url: str, query: list[tuple[str, str]]) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query="&".join(filter(None, (parts.query, urlencode(query))))))
