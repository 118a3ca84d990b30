"""Trivy's JSON report (schema version 2), read strictly: what is not understood never means "nothing found".

Fields: https://github.com/aquasecurity/trivy, `pkg/types/report.go` and `pkg/types/finding.go`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ml_containerize.errors import ScanError
from ml_containerize.names import Digest
from ml_containerize.results import Finding, Json

SEVERITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "UNKNOWN")
_SCHEMA = 2


class MalformedReport(ScanError):
    """Trivy's report is not what its documentation says."""

    def __init__(self, where: str, expected: str) -> None:
        super().__init__(
            f"Trivy's report has no {expected} at {where}",
            "The image was not judged. Use the pinned trivy: leave `trivy-path` and `trivy-version` away.",
        )


class WrongImageScanned(ScanError):
    """The report is about another image."""

    def __init__(self, expected: Digest, found: str) -> None:
        super().__init__(
            f"Trivy's report is about the image with configuration {found or 'unknown'}, not {expected}",
            "Did another run write into the same output folder? Give each run its own.",
        )


@dataclass(frozen=True, slots=True)
class Report:
    """What trivy found, how many packages it recognised, and whether the distribution is still maintained."""

    findings: tuple[Finding, ...]
    packages: int
    system: str  # "debian 12.5", "" where none was recognised
    end_of_life: bool


def parse_report(document: Json, config: Digest) -> Report:
    """Read a report about the image with this configuration; raises MalformedReport or WrongImageScanned."""
    if document.get("SchemaVersion") != _SCHEMA:
        raise MalformedReport("SchemaVersion", str(_SCHEMA))
    metadata = _object(document, "Metadata", "")
    image_id = _text(metadata, "ImageID", "Metadata", needed=False)
    if image_id != str(config):
        raise WrongImageScanned(config, image_id)
    system = _object(metadata, "OS", "Metadata", needed=False)
    name = f"{system.get('Family', '')} {system.get('Name', '')}".strip()
    results = _objects(document, "Results", "")
    found = dict.fromkeys(finding for where, result in results for finding in _findings(result, where))
    packages = sum(len(_objects(result, "Packages", where)) for where, result in results)
    return Report(tuple(found), packages, name, system.get("EOSL") is True)


def decode(body: bytes, image: str) -> Json:
    """The report without what it must not tell: the lines around secrets, and where the layout lies."""
    try:
        document = json.loads(body)
    except ValueError as error:
        raise MalformedReport("its beginning", "JSON") from error
    if not isinstance(document, dict):
        raise MalformedReport("its beginning", "object")
    layout = str(document.get("ArtifactName", ""))
    document["ArtifactName"] = image
    for where, result in _objects(document, "Results", ""):
        target = _text(result, "Target", where)
        result["Target"] = image + target.removeprefix(layout) if target.startswith(layout) else target
        for _, secret in _objects(result, "Secrets", where):
            secret.pop("Code", None)
            secret.pop("Match", None)
    return document


def _findings(result: Json, where: str) -> Iterator[Finding]:
    readers: dict[str, Callable[[Json, Json, str], Finding]] = {
        "Vulnerabilities": _vulnerability,
        "Secrets": _secret,
        "Misconfigurations": _misconfiguration,
        "Licenses": _license,
    }
    for key, read in readers.items():
        for place, item in _objects(result, key, where):
            if item.get("Status") != "PASS":
                yield read(item, result, place)


def _vulnerability(item: Json, result: Json, where: str) -> Finding:
    identifier = _object(item, "PkgIdentifier", where, needed=False)
    return Finding(
        id=_text(item, "VulnerabilityID", where),
        package=_text(item, "PkgName", where),
        installed=_text(item, "InstalledVersion", where, needed=False),
        fixed=_text(item, "FixedVersion", where, needed=False),
        severity=_severity(item, where),
        title=_text(item, "Title", where, needed=False),
        url=_text(item, "PrimaryURL", where, needed=False),
        target=_text(result, "Target", where),
        path=_text(item, "PkgPath", where, needed=False),
        purl=_text(identifier, "PURL", where, needed=False),
    )


def _secret(item: Json, result: Json, where: str) -> Finding:
    """A secret by its rule and place; its text is in no field that is read."""
    path = _text(result, "Target", where)
    return Finding(
        id=_text(item, "RuleID", where),
        package=path,
        installed="",
        fixed="",
        severity=_severity(item, where),
        title=f"{_text(item, 'Title', where)}, line {item.get('StartLine', '?')}",
        target=path,
        kind="secret",
        path=path,
    )


def _misconfiguration(item: Json, result: Json, where: str) -> Finding:
    path = _text(result, "Target", where)
    return Finding(
        id=_text(item, "ID", where),
        package=path,
        installed="",
        fixed="",
        severity=_severity(item, where),
        title=_text(item, "Title", where, needed=False),
        url=_text(item, "PrimaryURL", where, needed=False),
        target=path,
        kind="misconfiguration",
        path=path,
    )


def _license(item: Json, result: Json, where: str) -> Finding:
    path = _text(item, "FilePath", where, needed=False)
    return Finding(
        id=_text(item, "Name", where),
        package=_text(item, "PkgName", where, needed=False) or path,
        installed="",
        fixed="",
        severity=_severity(item, where),
        title=_text(item, "Category", where, needed=False),
        url=_text(item, "Link", where, needed=False),
        target=_text(result, "Target", where),
        kind="license",
        path=path,
    )


def _severity(item: Json, where: str) -> str:
    severity = _text(item, "Severity", where)
    if severity not in SEVERITIES:
        raise MalformedReport(f"{where}.Severity", f"severity ({', '.join(SEVERITIES)})")
    return severity


def _text(item: Json, key: str, where: str, *, needed: bool = True) -> str:
    value = item.get(key, None if needed else "")
    if not isinstance(value, str) or (needed and not value):
        raise MalformedReport(f"{where}.{key}", "text")
    return value


def _object(item: Json, key: str, where: str, *, needed: bool = True) -> Json:
    value = item.get(key, None if needed else {})
    if not isinstance(value, dict):
        raise MalformedReport(f"{where}.{key}".lstrip("."), "object")
    return value


def _objects(item: Json, key: str, where: str) -> list[tuple[str, Json]]:
    """The objects of a list with the place of each; trivy leaves empty lists out."""
    place = f"{where}.{key}".lstrip(".")
    values = item.get(key) or []
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise MalformedReport(place, "list of objects")
    return [(f"{place}[{index}]", value) for index, value in enumerate(values)]
