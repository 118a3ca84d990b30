"""GitHub's issue comments in memory, on loopback, as its REST API documentation describes them.

https://docs.github.com/en/rest/issues/comments · https://docs.github.com/en/rest/using-the-rest-api/using-pagination-in-the-rest-api
"""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

BOT = {"login": "github-actions[bot]", "type": "Bot"}
_LARGEST = 65_536  # characters of a comment


@dataclass
class GitHubDouble:
    """`with GitHubDouble() as github`: one repository, `org/models`, whose pull request 7 has comments."""

    token: str = "ghs_right"
    login: str = ""  # of a person's token; a workflow's own has none
    reads_only: bool = False  # the token of a fork's pull request
    page: int = 100
    broken: list[str] = field(default_factory=list)  # methods whose next request is answered with 502
    nonsense: bytes = b""  # what is answered instead of JSON
    elsewhere: str = ""  # the next page, at somebody else's
    comments: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)  # "GET /repos/…"

    def __enter__(self) -> Self:
        double = self

        class Handler(_Handler):
            github = double

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def add(self, body: str, user: dict[str, str] | None = None) -> dict[str, Any]:
        """Write a comment as a user would."""
        self.comments.append({"id": 100 + len(self.comments), "body": body, "user": user or BOT})
        return self.comments[-1]

    @property
    def bodies(self) -> list[str]:
        return [comment["body"] for comment in self.comments]


class _Handler(BaseHTTPRequestHandler):
    github: GitHubDouble

    def do_GET(self) -> None:
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        if not self._refused(path):
            if path == "/user":
                self._user()
            elif path == "/repos/org/models/issues/7/comments":
                self._list(int(query.get("page", ["1"])[0]), int(query.get("per_page", ["30"])[0]))
            else:
                self._say(404, {"message": "Not Found"})

    def do_POST(self) -> None:
        body = self._body()
        if not self._refused(self.path) and self._may_write(body):
            self._say(201, self.github.add(body, self._writer()))

    def do_PATCH(self) -> None:
        body, number = self._body(), re.fullmatch(r"/repos/org/models/issues/comments/(\d+)", self.path)
        if self._refused(self.path) or not self._may_write(body):
            return
        for comment in self.github.comments:
            if number and comment["id"] == int(number[1]):
                comment["body"] = body
                self._say(200, comment)
                return
        self._say(404, {"message": "Not Found"})

    def _list(self, page: int, size: int) -> None:
        size = min(size, self.github.page)
        start = (page - 1) * size
        links = {}
        if start + size < len(self.github.comments):
            following = (
                f"{self.github.elsewhere or self.github.url}{urlsplit(self.path).path}?page={page + 1}"
            )
            links = {"Link": f'<{following}&per_page={size}>; rel="next", <{self.github.url}>; rel="first"'}
        self._say(200, self.github.comments[start : start + size], links)

    def _user(self) -> None:
        if self.github.login:
            self._say(200, self._writer())
        else:
            self._say(403, {"message": "Resource not accessible by integration"})

    def _writer(self) -> dict[str, str]:
        return {"login": self.github.login, "type": "User"} if self.github.login else BOT

    def _refused(self, path: str) -> bool:
        github = self.github
        github.asked.append(f"{self.command} {path}")
        if self.command in github.broken:
            github.broken.remove(self.command)
            self._say(502, {"message": "Server Error"})
        elif github.nonsense:
            self._say(200, github.nonsense)
        elif self.headers["Authorization"] != f"Bearer {github.token}":
            self._say(401, {"message": "Bad credentials"})
        else:
            return False
        return True

    def _may_write(self, body: str) -> bool:
        if self.github.reads_only:
            self._say(403, {"message": "Resource not accessible by integration"})
        elif len(body) > _LARGEST:
            self._say(422, {"message": "Validation Failed: body is too long (maximum is 65536 characters)"})
        else:
            return True
        return False

    def _body(self) -> str:
        length = int(self.headers.get("Content-Length", 0))
        return str(json.loads(self.rfile.read(length))["body"])

    def _say(self, status: int, value: object, headers: dict[str, str] | None = None) -> None:
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
