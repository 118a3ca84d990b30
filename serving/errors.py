"""What can go wrong, each with the sentence that its reader needs."""

from __future__ import annotations


class SettingWrong(Exception):
    """An environment variable has a value that cannot be used."""


class ModelUnusable(Exception):
    """The model at MODEL_PATH cannot be found, loaded or described; the server ends."""


def one_line(error: BaseException) -> str:
    """What a framework raised, fit for a log line: its type and at most 500 characters of its message."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:500]


class Refused(Exception):
    """A request without a prediction: `reason` for people, `field` where the fault lies, HTTP `status`.

    `kind` is the word that counts it in the metrics.
    """

    status = 400
    kind = "bad_request"

    def __init__(self, reason: str, field: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.field = field

    def as_json(self) -> dict[str, str]:
        return {"error": self.reason, "field": self.field} if self.field else {"error": self.reason}


class BadRequest(Refused):
    """The body is not a batch that the model takes (RFC 9110, 400)."""


class NotRepresentable(Refused):
    """The model answered with what JSON cannot carry, NaN or an infinity (RFC 9110, 422)."""

    status = 422
    kind = "not_representable"


class NotFound(Refused):
    """The path names a model, version or signature that is not here (RFC 9110, 404)."""

    status = 404
    kind = "not_found"


class Unauthorized(Refused):
    """The request lacks the key that the server asks for (RFC 9110, 401)."""

    status = 401
    kind = "unauthorized"


class TooSlow(Refused):
    """The client took too long to send its request (RFC 9110, 408)."""

    status = 408
    kind = "slow_body"


class TooLarge(Refused):
    """The body is larger than the server takes (RFC 9110, 413)."""

    status = 413
    kind = "too_large"


class HeadTooLarge(Refused):
    """The request's line and headers are longer than the server takes (RFC 6585, 431)."""

    status = 431
    kind = "too_large"


class WrongMediaType(Refused):
    """The body is of a content type that the door does not read (RFC 9110, 415)."""

    status = 415
    kind = "wrong_media_type"


class Busy(Refused):
    """The server cannot answer now: not ready, draining, or its queue is full (RFC 9110, 503)."""

    status = 503

    def __init__(self, reason: str, retry_after: int = 1, kind: str = "busy") -> None:
        """`retry_after` in seconds; `kind` is not_ready, stopping, queue_full, timeout or busy."""
        super().__init__(reason)
        self.retry_after = retry_after
        self.kind = kind
