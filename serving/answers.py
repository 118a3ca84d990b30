"""Values become answers, refusals included: JSON with the reason, and the field where the fault lies."""

from __future__ import annotations

import logging
from typing import Any

import orjson

from serving.errors import Busy, Refused, Unauthorized
from serving.http import Answer

log = logging.getLogger("serving")


def json_answer(value: Any, status: int = 200) -> Answer:
    return Answer(status, orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE), reason=reason_of(status))


def reason_of(status: int) -> str:
    """The word that counts Flask's own refusals in the metrics; "" for what is none."""
    return {404: "not_found", 405: "wrong_method"}.get(status, "bad_request") if status >= 400 else ""


def refusal(error: Refused) -> Answer:
    """Say no, and where it helps how to do better (RFC 9110, 10.2.3 Retry-After, 11.6.1 WWW-Authenticate)."""
    headers: tuple[tuple[str, str], ...] = ()
    if isinstance(error, Busy):
        headers = (("retry-after", str(error.retry_after)),)
    elif isinstance(error, Unauthorized):
        headers = (("www-authenticate", 'Basic realm="model server", charset="UTF-8"'),)
    body = orjson.dumps(error.as_json(), option=orjson.OPT_APPEND_NEWLINE)
    return Answer(error.status, body, headers=headers, reason=error.kind)


def failure(error: BaseException, request_id: str = "") -> Answer:
    """The model or this server failed on a request: the client learns that, the log learns why."""
    fields = {"request_id": request_id} if request_id else {}
    log.error("the model failed: %s", error, exc_info=error, extra={"fields": fields})
    body = orjson.dumps({"error": "the model failed on this input; the server's log says why"})
    return Answer(500, body + b"\n", reason="model_error")


def answer_error(error: BaseException, request_id: str = "") -> Answer:
    return refusal(error) if isinstance(error, Refused) else failure(error, request_id)
