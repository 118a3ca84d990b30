"""What a registry's refusal means: one error class per cause, made from its answer."""

from __future__ import annotations

import json
import socket
import ssl
from dataclasses import dataclass, field
from http import HTTPStatus

from ml_containerize.console import printable
from ml_containerize.errors import ContainerizeError, EnvironmentMissing, PushError
from ml_containerize.names import Digest
from ml_containerize.oci.retries import Temporary, parse_retry_after
from ml_containerize.oci.transport import FAILURES, Origin, Response

_PASSING = frozenset({408, 429, 500, 502, 503, 504})
_BODY = 1 << 14  # bytes of an error's JSON worth reading
_TEXT = 300  # characters of it worth repeating


class LoginNeeded(PushError):
    """The registry wants to know who asks, and no login for it was found."""

    def __init__(self, registry: str, purpose: str) -> None:
        super().__init__(
            f"{registry} wants a login to {purpose}",
            f"Run `docker login {registry}`, or give a user name and a password (or token) for {registry}.",
        )


class LoginRefused(PushError):
    """The registry does not accept the user name and password, or the token."""

    def __init__(self, registry: str, username: str, said: str) -> None:
        super().__init__(
            f"{registry} refused the login of {username!r}{said}",
            "Check the user name and the password or token: it may have expired or been revoked.",
        )


class AccessDenied(PushError):
    """The registry knows who asks, and does not allow it."""

    def __init__(self, registry: str, purpose: str, said: str) -> None:
        allow = "Give the account or token the right to do this, and check the repository's name."
        if registry == "ghcr.io":
            allow += " In GitHub Actions the job needs `permissions: packages: write`."
        super().__init__(f"{registry} does not allow to {purpose}{said}", allow)


class TooLarge(PushError):
    """The registry, or a proxy before it, limits the size of what it takes."""

    def __init__(self, registry: str, purpose: str, said: str) -> None:
        super().__init__(
            f"{registry} has a limit below what it takes to {purpose}{said}",
            "Raise the limit, often a proxy's (nginx: client_max_body_size), or push to another registry.",
        )


class UnexpectedAnswer(PushError):
    """The registry answered what the specification does not provide for."""

    def __init__(self, registry: str, purpose: str, said: str) -> None:
        super().__init__(
            f"{registry} answered unexpectedly when asked to {purpose}{said}",
            "Check that the address is a registry's and that the registry's own log shows no error.",
        )


class WrongDigest(PushError):
    """The registry holds, or says it holds, other content than was asked of it."""

    def __init__(self, what: str, wanted: Digest, found: object) -> None:
        super().__init__(
            f"{what} should be {wanted}, but the registry answered {found}",
            "The registry, or a proxy before it, changes content. Nothing was tagged; look into its log.",
        )


class Unreachable(EnvironmentMissing):
    """No connection to the registry, or one that keeps breaking."""

    def __init__(self, origin: Origin, why: str) -> None:
        super().__init__(
            f"{origin} cannot be reached: {why}",
            "Check the name, the network, and the proxy settings (HTTPS_PROXY, NO_PROXY).",
        )


class CertificateNotTrusted(EnvironmentMissing):
    """The registry's TLS certificate was issued by nobody we trust."""

    def __init__(self, origin: Origin, why: str) -> None:
        super().__init__(
            f"{origin} has a certificate that is not trusted: {why}",
            "Name your organisation's certificate bundle in SSL_CERT_FILE or REQUESTS_CA_BUNDLE.",
        )


class Unavailable(EnvironmentMissing):
    """The registry is there, but overloaded or broken for now."""

    def __init__(self, registry: str, purpose: str, said: str, wait: float | None) -> None:
        later = f" It asks to wait {wait:.0f} seconds." if wait else ""
        super().__init__(
            f"{registry} could not {purpose}{said}", f"Try again later; nothing was tagged.{later}"
        )


@dataclass(frozen=True, slots=True)
class Refusals:
    """Turns a registry's answers into errors; `secrets` are kept out of whatever it repeats."""

    registry: str
    secrets: set[str] = field(default_factory=set, repr=False)

    def broken(self, origin: Origin, error: Exception) -> Exception:
        """What a broken connection means: Temporary, unless trying again cannot help."""
        if isinstance(error, ssl.SSLCertVerificationError):
            return CertificateNotTrusted(origin, error.verify_message)
        if isinstance(error, socket.gaierror) and error.errno == socket.EAI_NONAME:
            return Unreachable(origin, "its name cannot be resolved")
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return Temporary(Unreachable(origin, self._clean(str(why))))

    def refused(self, response: Response, purpose: str) -> Exception:
        """What an answer means that was not asked for; its body is read, the response closed."""
        said = self.said(response)
        if response.status in _PASSING:
            wait = parse_retry_after(response.header("Retry-After"))
            return Temporary(Unavailable(self.registry, purpose, said, wait), wait)
        if response.status in {401, 403}:
            return self.denied(purpose, said)
        if response.status == 413:
            return TooLarge(self.registry, purpose, said)
        return UnexpectedAnswer(self.registry, purpose, said)

    def said(self, response: Response) -> str:
        """`: 403 Forbidden, DENIED: …`, from the status and the error document, if any."""
        status = f"{response.status} {_phrase(response.status)}".strip()
        return f": {self._clean(', '.join([status, *_messages(response)]))}"

    def denied(self, purpose: str, said: str) -> ContainerizeError:
        return AccessDenied(self.registry, purpose, said)

    def unexpected(self, purpose: str, why: str) -> ContainerizeError:
        return UnexpectedAnswer(self.registry, purpose, f": {self._clean(why)}")

    def _clean(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return printable(text).replace("\n", " ")[:_TEXT]


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""


def _messages(response: Response) -> list[str]:
    """Each error's code and message (OCI distribution specification, "Error Codes")."""
    try:
        errors = json.loads(response.read(_BODY))["errors"]
        found = [f"{error['code']}: {error.get('message') or ''}".rstrip(": ") for error in errors]
    except (ValueError, KeyError, TypeError, AttributeError, *FAILURES):
        return []
    return [message for message in found if message][:3]
