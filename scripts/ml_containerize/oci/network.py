"""What the environment says about the way out: proxies and certificate authorities.

The variables are those that curl and `requests` read, so that a machine set up for them needs nothing more.
"""

from __future__ import annotations

import ssl
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ml_containerize.errors import UsageError
from ml_containerize.names import is_loopback


class CertificatesUnreadable(UsageError):
    """The file of certificate authorities that the environment names is no such file."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path} cannot be used: {why}", "Correct REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE.")


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy to tunnel through; the headers may hold its password."""

    host: str
    port: int
    headers: dict[str, str] = field(repr=False)


def proxy_for(host: str, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy that HTTPS_PROXY (or https_proxy) names, unless NO_PROXY exempts the host."""
    url = environ.get("https_proxy") or environ.get("HTTPS_PROXY")
    exempt = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    if not url or is_loopback(host) or _is_exempt(host, exempt):
        return None
    parts = urlsplit(url if "://" in url else f"http://{url}")
    return Proxy(parts.hostname or "", parts.port or 80, _proxy_login(parts.username, parts.password))


def _is_exempt(host: str, exempt: str) -> bool:
    """NO_PROXY: names separated by commas, each standing for itself and what lies below it; `*` for all."""
    names = [name.strip().lower().lstrip(".") for name in exempt.split(",") if name.strip()]
    return any(name == "*" or host == name or host.endswith(f".{name}") for name in names)


def _proxy_login(username: str | None, password: str | None) -> dict[str, str]:
    if not username:
        return {}
    login = f"{unquote(username)}:{unquote(password or '')}"
    return {"Proxy-Authorization": f"Basic {b64encode(login.encode()).decode()}"}


def trusted_certificates(environ: Mapping[str, str]) -> ssl.SSLContext:
    """Trust what REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE name (a file or a folder), else the system's."""
    named = environ.get("REQUESTS_CA_BUNDLE") or environ.get("CURL_CA_BUNDLE")
    is_folder = bool(named) and Path(named or "").is_dir()
    try:
        return ssl.create_default_context(
            cafile=None if is_folder else named, capath=named if is_folder else None
        )
    except OSError as error:
        raise CertificatesUnreadable(named or "the system's certificates", str(error)) from error
