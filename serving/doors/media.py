"""What a request's content type promises of its body."""

from __future__ import annotations

from collections.abc import Mapping

from serving.errors import WrongMediaType
from serving.http import JSON, Request

FORM = "application/x-www-form-urlencoded"  # what curl -d says of JSON, as in TensorFlow Serving's examples
CSV = "text/csv"
BYTES = "application/octet-stream"


def media_type(headers: Mapping[str, str]) -> str:
    """The body's type in lower case, without parameters; "" where the client names none."""
    written = headers.get("content-type") or ""
    return written if written == JSON else written.split(";", 1)[0].strip().lower()


def check_json(request: Request, *also: str) -> None:
    """WrongMediaType where the body says that it is something else than JSON, or what is `also` read."""
    coding = request.headers.get("content-encoding") or "identity"
    if coding.lower() != "identity":
        raise WrongMediaType(f"is {coding!r}, expected a body as it is", "content-encoding")
    found = media_type(request.headers)
    if found not in (JSON, "", FORM, *also) and not found.endswith("+json"):
        raise WrongMediaType(f"is {found!r}, expected {' or '.join((JSON, *also))}", "content-type")
