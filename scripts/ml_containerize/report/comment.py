"""One comment on the pull request that every run brings up to date.

GitHub Docs, "REST API endpoints for issue comments": list, create and update. A comment is ours where its
first line is the marker and a program wrote it, or the token's owner: other people's stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import requests
from requests.adapters import HTTPAdapter, Retry

from ml_containerize.console import Console
from ml_containerize.errors import ContainerizeError, EnvironmentMissing
from ml_containerize.plan.git.github import Workflow
from ml_containerize.results import Json

MARKER = "<!-- ml-containerize -->"
MAX_BYTES = 60_000  # GitHub accepts 65,536 characters

_RUN = re.compile(r"<!-- run ([0-9]{1,18}) -->")
_SECONDS = (10, 30)  # to connect, to answer
_MOST_PAGES = 50  # of a hundred comments each
_GRANT = "Grant the job `pull-requests: write`. A fork's pull request has a token that may only read."


class NoComment(EnvironmentMissing):
    """The pull request could not be told; its job does not fail of that."""


@dataclass(frozen=True, slots=True)
class Place:
    """A pull request of a repository ("org/models"), and what is needed to reach it."""

    api: str
    repository: str
    number: int
    token: str = field(repr=False)

    @property
    def comments(self) -> str:
        return f"{self.api}/repos/{self.repository}/issues/{self.number}/comments"

    def comment(self, number: int) -> str:
        return f"{self.api}/repos/{self.repository}/issues/comments/{number}"


def find_place(environ: Mapping[str, str]) -> Place:
    """Where to comment, from what GitHub Actions tells a job; raises NoComment or BadEvent."""
    workflow = Workflow.read(environ)
    if workflow is None or workflow.pull_request is None:
        raise NoComment("this run is about no pull request")
    token, repository = environ.get("GITHUB_TOKEN", ""), environ.get("GITHUB_REPOSITORY", "")
    if not token:
        raise NoComment("GITHUB_TOKEN is not set", "Give the step `env: GITHUB_TOKEN: ${{ github.token }}`.")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        raise NoComment("GITHUB_REPOSITORY does not name a repository")
    api = environ.get("GITHUB_API_URL") or "https://api.github.com"
    return Place(api.rstrip("/"), repository, workflow.pull_request.number, token)


def comment(text: str, environ: Mapping[str, str], console: Console) -> None:
    """Create the comment, or bring it up to date; what stands in the way is a warning, never a failure."""
    try:
        place = find_place(environ)
        with requests.Session() as session:
            _keep(Comments(place, session), _body(text, environ), console)
    except ContainerizeError as error:
        console.warn(f"no comment was written: {error}")
    except (requests.RequestException, ValueError) as error:
        console.warn(f"no comment was written: GitHub cannot be reached or understood: {error}")


def _keep(comments: Comments, body: str, console: Console) -> None:
    found = comments.find()
    if found is None:
        comments.create(body)
    elif _run_of(found["body"]) > _run_of(body):
        console.info("the comment is a later run's already, and stays as it is")
    elif found["body"] != body:
        comments.update(found["id"], body)


def _body(text: str, environ: Mapping[str, str]) -> str:
    run = environ.get("GITHUB_RUN_ID", "")
    server, repository = environ.get("GITHUB_SERVER_URL", ""), environ.get("GITHUB_REPOSITORY", "")
    link = (
        f"\n[the whole run]({server}/{repository}/actions/runs/{run})\n" if server and run.isdigit() else ""
    )
    return f"{MARKER}\n<!-- run {run if run.isdigit() else 0} -->\n{text}{link}"


def _run_of(body: str) -> int:
    """The run that wrote a comment; later ones have higher numbers."""
    written = _RUN.search(body)
    return int(written[1]) if written else 0


class Comments:
    """The comments of one pull request."""

    def __init__(self, place: Place, session: requests.Session) -> None:
        self.place = place
        self.session = session
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {place.token}",
            "User-Agent": "ml-containerize",
            "X-GitHub-Api-Version": "2022-11-28",
        }
        session.headers.update(headers)
        again = Retry(
            total=2,
            status_forcelist=(500, 502, 503, 504),
            allowed_methods=("GET", "PATCH"),  # twice created is two comments
            backoff_factor=0.5,
            respect_retry_after_header=False,
            raise_on_status=False,
        )
        session.mount(place.api, HTTPAdapter(max_retries=again))

    def find(self) -> Json | None:
        """The oldest comment of ours; raises NoComment."""
        marked = [one for one in self._all() if one["body"].startswith(MARKER)]
        if not marked:
            return None
        login = self._login()
        ours = [one for one in marked if _author(one, "login") == login or _author(one, "type") == "Bot"]
        return ours[0] if ours else None

    def create(self, body: str) -> None:
        self._ask("POST", self.place.comments, body)

    def update(self, number: int, body: str) -> None:
        self._ask("PATCH", self.place.comment(number), body)

    def _all(self) -> Iterator[Json]:
        """Every comment, oldest first, a hundred a page ("Using pagination in the REST API")."""
        url: str | None = f"{self.place.comments}?per_page=100"
        for _ in range(_MOST_PAGES):
            if url is None:
                return
            answer = self._ask("GET", url)
            page = answer.json()
            if not isinstance(page, list):
                raise NoComment("GitHub's list of comments is no list")
            yield from (one for one in page if _is_comment(one))
            following = answer.links.get("next", {}).get("url", "")
            url = following if following.startswith(f"{self.place.api}/") else None

    def _login(self) -> str | None:
        """Whose token it is; a workflow's own may not ask, and then nobody's name fits."""
        answer = self.session.get(f"{self.place.api}/user", timeout=_SECONDS)
        user = answer.json() if answer.ok else None
        return user.get("login") if isinstance(user, dict) else None

    def _ask(self, method: str, url: str, body: str | None = None) -> requests.Response:
        content = None if body is None else {"body": body}
        answer = self.session.request(method, url, json=content, timeout=_SECONDS)
        if not answer.ok:
            advice = _GRANT if answer.status_code in {401, 403, 404} else ""
            raise NoComment(f"GitHub answered {answer.status_code} ({_message(answer)})", advice)
        return answer


def _is_comment(value: object) -> bool:
    match value:
        case {"id": int(), "body": str()}:
            return True
    return False


def _author(one: Json, key: str) -> str:
    user = one.get("user")
    return str(user.get(key, "")) if isinstance(user, dict) else ""


def _message(answer: requests.Response) -> str:
    """GitHub's own words, shortened."""
    try:
        value = answer.json()
    except ValueError:
        value = {}
    said = value.get("message") if isinstance(value, dict) else None
    return str(said or answer.reason)[:200]
