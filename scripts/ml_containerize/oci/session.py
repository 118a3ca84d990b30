"""One registry as its clients see it: requests in, accepted answers or errors out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urljoin, urlsplit, urlunsplit

from ml_containerize.names import DOCKER_HUB, Repository
from ml_containerize.oci.authentication import Authenticator, Scopes
from ml_containerize.oci.credentials import Login
from ml_containerize.oci.refusals import LoginNeeded, LoginRefused, Refusals
from ml_containerize.oci.retries import Retries
from ml_containerize.oci.transport import FAILURES, Origin, Readable, Response, Transport

_T = TypeVar("_T")
_HUB_HOST = "registry-1.docker.io"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SAME_METHOD_REDIRECTS = frozenset({307, 308})
_MOST_REDIRECTS = 5
TIMEOUT = 120.0  # seconds without a byte

Body = bytes | Callable[[], Readable]  # a callable opens the body anew for each try


@dataclass(frozen=True, slots=True)
class Request:
    """One request, and which answers are good; `purpose` completes "could not …" in an error."""

    method: str
    url: str
    purpose: str
    scopes: Scopes
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = None
    accept: frozenset[int] = frozenset({200})
    timeout: float = TIMEOUT


class Session:
    """Connections, login and retries for one registry; shared by its repositories' clients and by threads."""

    def __init__(
        self, registry: str, login: Callable[[], Login | None], transport: Transport, retries: Retries
    ) -> None:
        self.registry = registry
        self.retries = retries
        self.refusals = Refusals(registry)
        self._transport = transport
        self._authenticator = Authenticator(registry, login, self._token, self.refusals)
        self._origin = Origin.of(self.url(""))

    def url(self, path: str) -> str:
        """A URL below `/v2/`; http for loopback, https for every other registry."""
        scheme = "http" if Repository(self.registry, "x").is_loopback else "https"
        return f"{scheme}://{_HUB_HOST if self.registry == DOCKER_HUB else self.registry}/v2/{path}"

    def request(self, request: Request) -> Response:
        """An accepted answer, tried again while problems pass; raises a ContainerizeError."""
        return self.retries.run(lambda: self.once(request))

    def read(self, request: Request, use: Callable[[Response], _T]) -> _T:
        """Like `request`, with the reading of the answer's body under the same retries."""

        def action() -> _T:
            with self.once(request) as response:
                try:
                    return use(response)
                except FAILURES as error:
                    raise self.refusals.broken(Origin.of(response.url), error) from error

        return self.retries.run(action)

    def once(self, request: Request) -> Response:
        """One try; raises Temporary where another may help, else a ContainerizeError."""
        response = self._followed(self._authenticated(request), request)
        if response.status in request.accept:
            return response
        raise self.refusals.refused(response, request.purpose)

    def _authenticated(self, request: Request) -> Response:
        """Send it, and where a 401 says how to prove who we are, send it once more with the proof."""
        if Origin.of(request.url) != self._origin:  # an upload's own place elsewhere: the login stays here
            return self._exchange(request, request.url, None)
        used = self._authenticator.header(request.scopes)
        response = self._exchange(request, request.url, used)
        if response.status != 401:
            return response
        challenges = response.headers("WWW-Authenticate")
        said = self.refusals.said(response)
        header = self._authenticator.answer(challenges, request.scopes, used, request.purpose)
        if header:
            response = self._exchange(request, request.url, header)
        if response.status == 401:
            raise self._unauthorized(request, said, used or header)
        return response

    def _unauthorized(self, request: Request, said: str, used: str | None) -> Exception:
        login = self._authenticator.login
        if not login:
            return LoginNeeded(self.registry, request.purpose)
        if used and used.startswith("Bearer"):  # the login was good for a token, the token not for this
            return self.refusals.denied(request.purpose, said)
        return LoginRefused(self.registry, login.username, said)

    def _followed(self, response: Response, request: Request) -> Response:
        for _ in range(_MOST_REDIRECTS):
            if not _is_redirect(request.method, response):
                return response
            target = self.locate(response)
            response.close()
            is_home = Origin.of(target) == self._origin
            response = self._exchange(
                request, target, self._authenticator.header(request.scopes) if is_home else None
            )
        raise self.refusals.unexpected(request.purpose, f"more than {_MOST_REDIRECTS} redirects")

    def locate(self, response: Response) -> str:
        """The URL that a `Location` means; the registry's own keeps its scheme, whatever its proxy says."""
        url = urlsplit(urljoin(response.url, response.header("Location")))
        home = urlsplit(self.url(""))
        return urlunsplit(url._replace(scheme=home.scheme) if url.netloc == home.netloc else url)

    def _exchange(self, request: Request, url: str, authorization: str | None) -> Response:
        headers = {**request.headers, **({"Authorization": authorization} if authorization else {})}
        body = request.body() if callable(request.body) else request.body
        return self._send(request.method, url, headers, body, request.timeout)

    def _token(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Response:
        return self._send(method, url, headers, body, TIMEOUT)

    def _send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | Readable | None, timeout: float
    ) -> Response:
        try:
            return self._transport.send(method, url, headers, body, timeout=timeout)
        except FAILURES as error:
            raise self.refusals.broken(Origin.of(url), error) from error

    def close(self) -> None:
        """Drop the connections, also those that other threads wait on."""
        self._transport.close()


def _is_redirect(method: str, response: Response) -> bool:
    followed = _REDIRECTS if method in {"GET", "HEAD"} else _SAME_METHOD_REDIRECTS
    return response.status in followed and bool(response.header("Location"))
