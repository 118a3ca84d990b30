"""API keys from a file, as `Authorization: Bearer KEY` (RFC 6750, section 2.1) or `X-API-Key: KEY`.

A browser, which can send neither by itself, asks its user for the key as a password (Basic, RFC 7617).
"""

from __future__ import annotations

import hmac
import logging
import os
import time
from base64 import b64decode
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path

from serving.errors import SettingWrong

log = logging.getLogger("serving")

LOOK_AGAIN = 1.0  # seconds between two looks at the file

_Stamp = tuple[int, int, int]


class KeyRing:
    """The keys that open the server, read again when their file changes; it keeps their hashes only."""

    __slots__ = ("_hashes", "_looked", "_now", "_path", "_stamp")

    def __init__(self, path: Path, now: Callable[[], float] = time.monotonic) -> None:
        """Raises SettingWrong where the file holds no keys."""
        self._path = path
        self._now = now
        self._looked = now()
        try:
            self._stamp = _stamp(path)
        except OSError as error:
            raise SettingWrong(f"API_KEY_FILE {path} cannot be read: {error.strerror}") from None
        self._hashes = _read(path)

    @classmethod
    def from_file(cls, path: Path) -> KeyRing:
        """Keys of a file with one a line; empty lines and lines that begin with # do not count.

        Raises SettingWrong where it holds none, or what no header can carry.
        """
        return cls(path)

    def allows(self, headers: Mapping[str, str]) -> bool:
        """Does a header, named in lower case, hold one of the keys? Right and wrong ones take as long.

        The file is looked at once a second; where it has become unreadable or empty, the former keys stay.
        """
        if self._now() - self._looked >= LOOK_AGAIN:
            self._look()
        authorized = _hash(_authorization(headers.get("authorization") or ""))
        plain = _hash((headers.get("x-api-key") or "").encode("utf-8", "backslashreplace"))
        allowed = False
        for key in self._hashes:
            allowed |= hmac.compare_digest(key, authorized)
            allowed |= hmac.compare_digest(key, plain)
        return allowed

    def __repr__(self) -> str:
        return f"KeyRing({str(self._path)!r}, {len(self._hashes)} keys)"

    def _look(self) -> None:
        self._looked = self._now()
        try:
            stamp = _stamp(self._path)
        except OSError:  # a moment between two versions of a mounted secret
            return
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._hashes = _read(self._path)
        except SettingWrong as error:
            log.error("the API keys stay as they were: %s", error)
        else:
            log.info("%d API keys were read anew", len(self._hashes))


def _stamp(path: Path) -> _Stamp:
    """What changes with the file, also when a link to it is turned, as with Kubernetes' secrets."""
    status = os.stat(path)  # noqa: PTH116 - follows links as Path.stat does, in half the time
    return status.st_mtime_ns, status.st_ino, status.st_size


def _read(path: Path) -> tuple[bytes, ...]:
    """The keys' hashes; what it raises names lines, never keys."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise SettingWrong(f"API_KEY_FILE {path} cannot be read: {error.strerror}") from None
    keys = {at: line.strip() for at, line in enumerate(lines, 1) if not line.strip().startswith(b"#")}
    for at, key in keys.items():
        if not all(0x21 <= byte <= 0x7E for byte in key):
            raise SettingWrong(f"API_KEY_FILE {path}: line {at} holds what no header can carry")
    hashes = tuple(sha256(key).digest() for key in keys.values() if key)
    if not hashes:
        raise SettingWrong(f"API_KEY_FILE {path} holds no key")
    return hashes


def _authorization(header: str) -> bytes:
    """The key in an Authorization header, b"" where there is none; whatever the user's name in Basic."""
    scheme, _, text = header.partition(" ")
    token = text.strip().encode("utf-8", "backslashreplace")
    if scheme.lower() == "bearer":
        return token
    if scheme.lower() != "basic":
        return b""
    try:
        return b64decode(token, validate=True).partition(b":")[2]
    except ValueError:
        return b""


def _hash(token: bytes) -> bytes:
    return sha256(token).digest()
