"""The page at `/` for people: what the model is, and a form to try it; it needs nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from jinja2 import Environment

from serving.schemas import example_rows
from serving.served import Served
from serving.signature import Signature, TensorSpec

LINKS = ("openapi.json", "metrics", "healthz", "startupz", "readyz")
LABELS = {"git_sha": "Git commit"}  # others are their key with a capital letter and spaces

_SOURCE = Path(__file__).with_suffix(".html").read_text("utf-8")


def _hash(element: str) -> str:
    """The CSP source that allows the page's only inline `element` (https://www.w3.org/TR/CSP3/, 2.3.1)."""
    (content,) = re.findall(f"<{element}>(.*?)</{element}>", _SOURCE, re.DOTALL)
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        f"script-src {_hash('script')}",
        f"style-src {_hash('style')}",
        "img-src data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)


class Fact(NamedTuple):
    """What is known of the model: words, or code such as a hash."""

    text: str
    is_code: bool


def page(served: Served, *, secured: bool) -> bytes:
    """The HTML page in UTF-8; with a field for the key where the server is `secured`."""
    signatures = served.model.signatures
    several = len(signatures) > 1
    return _TEMPLATE.render(
        served=served,
        secured=secured,
        facts=list(_facts(served)),
        examples={name: _example(each, name if several else "") for name, each in signatures.items()},
        action=f"v1/models/{quote(served.name, safe='')}:predict" if several else "predict",
        links=LINKS,
    ).encode()


def _facts(served: Served) -> Iterator[tuple[str, Fact]]:
    for key, value in served.about.items():
        yield LABELS.get(key, key.replace("_", " ").capitalize()), Fact(value, key != "format")
    yield "Device", Fact(served.model.device, False)


def _example(signature: Signature, name: str) -> str:
    """A request with the fewest rows, one a line; `name` chooses the signature where there are several."""
    rows = ",\n".join("  " + json.dumps(row, ensure_ascii=False) for row in example_rows(signature))
    chosen = f'"signature_name": {json.dumps(name, ensure_ascii=False)}, ' if name else ""
    return f'{{{chosen}"instances": [\n{rows}\n]}}'


def _shape(spec: TensorSpec) -> str:
    """The sizes for people: "rows", then each dimension, "any" for a free one."""
    if spec.shape is None:
        return "any"
    sizes = [str(size or "any") for size in spec.shape]
    if spec.shape and spec.shape[0] is None:
        sizes[0] = "rows"
    return " × ".join(sizes)  # noqa: RUF001 - the sign for it


def _template() -> Environment:
    environment = Environment(autoescape=True, keep_trailing_newline=True)
    environment.filters["shape"] = _shape
    return environment


_TEMPLATE = _template().from_string(_SOURCE)
