"""Rules that let a finding pass, with trivy's meaning: by id, and if wanted by path, package and date."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from urllib.parse import unquote

from ml_containerize.results import Finding

Section = Literal["vulnerabilities", "secrets", "misconfigurations", "licenses"]

_SECTIONS: dict[str, Section] = {
    "vulnerability": "vulnerabilities",
    "secret": "secrets",
    "misconfiguration": "misconfigurations",
    "license": "licenses",
    "model": "vulnerabilities",  # trivy has no name for unsafe code in a model
}


@dataclass(frozen=True, slots=True)
class Purl:
    """A package URL (https://github.com/package-url/purl-spec); no version means every version."""

    type: str
    name: str  # with its namespace
    version: str = ""
    qualifiers: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, text: str) -> Purl:
        """Raises ValueError."""
        head, _, qualifiers = text.partition("#")[0].partition("?")
        match = re.fullmatch(r"pkg:/*([A-Za-z][A-Za-z0-9.+-]*)/(.+?)(?:@([^@/]*))?", head)
        if not match:
            raise ValueError(f"{text!r} is not a package URL such as pkg:pypi/flask@2.2.0")
        kind, name = match[1].lower(), unquote(match[2].strip("/"))
        if kind == "pypi":
            name = name.lower().replace("_", "-")
        pairs = frozenset(unquote(pair) for pair in qualifiers.split("&") if pair)
        return cls(kind, name, unquote(match[3] or ""), pairs)

    def covers(self, package: Purl) -> bool:
        same = (self.type, self.name) == (package.type, package.name)
        return same and self.version in {"", package.version} and self.qualifiers <= package.qualifiers


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of an ignore file; where `sections`, `paths` or `purls` is empty it holds for all."""

    id: str
    where: str  # ".trivyignore:12"
    expires: datetime | None = None
    sections: frozenset[Section] = frozenset()
    paths: tuple[re.Pattern[str], ...] = ()
    purls: tuple[Purl, ...] = field(default=())

    def has_expired(self, now: datetime) -> bool:
        return self.expires is not None and self.expires < now

    def matches(self, finding: Finding) -> bool:
        """True where the rule is about this finding, expired or not."""
        if self.id != finding.id or (self.sections and _SECTIONS[finding.kind] not in self.sections):
            return False
        return self._matches_path(finding) and self._matches_package(finding)

    def _matches_path(self, finding: Finding) -> bool:
        places = {place for given in (finding.path, finding.target) for place in (given, given.lstrip("/"))}
        return not self.paths or any(path.fullmatch(place) for path in self.paths for place in places)

    def _matches_package(self, finding: Finding) -> bool:
        if not self.purls or not finding.purl:
            return True
        package = Purl.parse(finding.purl)
        return any(purl.covers(package) for purl in self.purls)


def path_pattern(glob: str) -> re.Pattern[str]:
    """A path pattern with the meaning that trivy gives it (https://github.com/bmatcuk/doublestar#patterns).

    >>> bool(path_pattern("opt/**/*.{json,toml}").fullmatch("opt/a/b/c.toml"))
    True
    >>> bool(path_pattern("opt/*.json").fullmatch("opt/a/c.json"))
    False
    """
    try:
        return re.compile("".join(_translated(glob)))
    except re.error as error:
        raise ValueError(f"{glob!r} is not a path pattern: {error}") from error


_TOKEN = re.compile(
    r"(?P<any_folders>(?:^|(?<=/))\*\*/)|(?P<anything>\*\*)|(?P<star>\*)|(?P<one>\?)|\[(?P<not>[!^])?(?P<set>[^]]+)\]"
    r"|(?P<brace>\{)|(?P<comma>,)|(?P<close>\})|\\(?P<quoted>.)|(?P<plain>.)",
    re.DOTALL,
)


def _translated(glob: str) -> list[str]:
    pieces, depth = [], 0
    for token in _TOKEN.finditer(glob):
        depth += (token.lastgroup == "brace") - (token.lastgroup == "close" and depth > 0)
        pieces.append(_translate(token, inside=depth > 0 or token.lastgroup == "close"))
    return pieces


def _translate(token: re.Match[str], *, inside: bool) -> str:
    fixed = {"any_folders": "(?:[^/]+/)*", "anything": ".*", "star": "[^/]*", "one": "[^/]", "brace": "(?:"}
    match token.lastgroup:
        case "set":
            characters = re.sub(r"([\\\[&~|])", r"\\\1", token["set"])
            return f"[{'^' if token['not'] else ''}{characters}]"
        case "comma" | "close" if inside:
            return "|" if token.lastgroup == "comma" else ")"
        case "quoted":
            return re.escape(token["quoted"])
        case group if group in fixed:
            return fixed[group]
        case _:
            return re.escape(token.group())
