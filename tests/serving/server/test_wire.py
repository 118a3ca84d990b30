from __future__ import annotations

from email.utils import parsedate_to_datetime

from serving.http import Answer
from serving.server.wire import as_bytes


def parts(data: bytes) -> tuple[str, dict[str, str], bytes]:
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    return first, dict(line.split(": ", 1) for line in lines), body


def test_an_answer_has_its_length_type_and_date() -> None:
    first, headers, body = parts(as_bytes(Answer(200, b"{}\n"), (("x-request-id", "7"),)))
    assert first == "HTTP/1.1 200 OK"
    assert parsedate_to_datetime(headers.pop("date")).tzinfo is not None
    assert headers == {"content-type": "application/json", "x-request-id": "7", "content-length": "3"}
    assert body == b"{}\n"


def test_headers_of_the_answer_itself_are_kept() -> None:
    _, headers, _ = parts(as_bytes(Answer(503, b"", headers=(("retry-after", "5"),)), close=True))
    assert (headers["retry-after"], headers["connection"]) == ("5", "close")


def test_a_status_without_a_name_is_written_all_the_same() -> None:
    assert parts(as_bytes(Answer(299, b"")))[0] == "HTTP/1.1 299 "


def test_without_its_body_an_answer_still_tells_the_length() -> None:
    _, headers, body = parts(as_bytes(Answer(200, b"page"), body=False))
    assert (headers["content-length"], body) == ("4", b"")


def test_what_latin_1_cannot_carry_breaks_no_answer() -> None:
    _, headers, _ = parts(as_bytes(Answer(200, b"", headers=(("x-name", "model\u2713"),))))
    assert headers["x-name"] == "model?"
