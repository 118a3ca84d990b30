"""Talking to the served model over one kept connection."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from urllib.parse import quote

import requests
from requests.exceptions import ConnectionError as NotConnected
from requests.exceptions import ReadTimeout, RequestException

from ml_containerize.results import Json

_READY_SECONDS = 5.0  # a request that waits in the server's backlog is answered as soon as it is ready
_SHOWN = 300  # characters of an unexpected answer


class NoAnswer(Exception):
    """The server did not answer a request; the text says how."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response to a prediction request, and how long it took in milliseconds."""

    status: int
    body: bytes
    milliseconds: float

    @property
    def excerpt(self) -> str:
        return excerpt(self.body)


def excerpt(body: bytes) -> str:
    text = " ".join(body.decode(errors="replace").split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # a proxy or a login from the environment has no business on loopback
    return session


@dataclass(slots=True)
class Client:
    """Requests to one server at `url`, one after the other."""

    url: str
    timeout: float  # seconds for one answer
    session: requests.Session = field(default_factory=_session)

    def unready(self, patience: float = _READY_SECONDS) -> str:
        """Why the server is not ready yet; "" when GET /readyz answers 200 within `patience` seconds."""
        try:
            response = self.session.get(f"{self.url}/readyz", timeout=min(patience, _READY_SECONDS))
        except ReadTimeout:
            return "it accepts connections but does not answer GET /readyz"
        except NotConnected:
            return "nothing answers on its port"
        except RequestException as error:
            return f"GET /readyz fails: {error}"
        if response.status_code == 200:
            return ""
        return f"GET /readyz answers {response.status_code}: {excerpt(response.content)}"

    def predict(self, body: bytes) -> Answer:
        """POST a prediction request; raises NoAnswer."""
        headers = {"Content-Type": "application/json"}
        start = time.perf_counter()
        try:
            response = self.session.post(
                f"{self.url}/predict", data=body, headers=headers, timeout=self.timeout
            )
        except ReadTimeout as error:
            raise NoAnswer(f"no answer within {self.timeout:g} s") from error
        except RequestException as error:
            raise NoAnswer("the connection broke before there was an answer") from error
        return Answer(response.status_code, response.content, (time.perf_counter() - start) * 1000)

    def describe(self) -> Json:
        """The model's signature, GET /; empty where the server tells none."""
        return self._told("/")

    def model_metadata(self, name: str) -> Json:
        """The model's metadata in the Open Inference Protocol; empty where the server tells none."""
        return self._told(f"/v2/models/{quote(name, safe='')}")

    def _told(self, path: str) -> Json:
        try:
            told = self.session.get(f"{self.url}{path}", timeout=_READY_SECONDS).json()
        except RequestException:
            return {}
        return told if isinstance(told, dict) else {}

    def close(self) -> None:
        self.session.close()
