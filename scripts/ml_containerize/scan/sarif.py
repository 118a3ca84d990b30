"""The findings as SARIF 2.1.0, as GitHub's code scanning takes it.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html · GitHub Docs, "SARIF support for code
scanning": what it requires, its limits, and that it knows no suppressions: what a rule accepts is left out.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ml_containerize import __version__
from ml_containerize.console import printable
from ml_containerize.plan.decide import Plan
from ml_containerize.results import Finding, Json
from ml_containerize.scan.places import Place, Places

FILE_NAME = "scan.sarif"
MOST_RESULTS = 5000  # GitHub shows no more, and refuses a file of more than 25,000

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_SCORES = {"CRITICAL": "9.5", "HIGH": "8.0", "MEDIUM": "5.5", "LOW": "2.0"}  # in GitHub's bands
_LEVELS = {"CRITICAL": "warning", "HIGH": "warning", "MEDIUM": "warning"}  # where they do not refuse
_LONGEST = 1000  # characters; GitHub takes 1024 for a rule's descriptions
_KINDS = {
    "vulnerability": "Vulnerable package",
    "secret": "Secret in the image",
    "misconfiguration": "Misconfiguration",
    "license": "License",
    "model": "Model that can do more than compute",
}


def sarif_log(plan: Plan, findings: Sequence[Finding], refusing: frozenset[str], scanner: str) -> Json:
    """A log of one run, the first `MOST_RESULTS` findings; those of a `refusing` severity are errors.

    Its category is the model's name, so that the models of one commit stand beside each other.
    """
    shown = findings[:MOST_RESULTS]
    rules = {finding.id: finding for finding in reversed(shown)}  # the first of an id, the worst one, wins
    order = {identifier: index for index, identifier in enumerate(rules)}
    name, _, version = scanner.partition(" ")
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "ml-containerize",
                        "semanticVersion": __version__,
                        "rules": [_rule(finding) for finding in rules.values()],
                    },
                    "extensions": [{"name": name or "trivy", "version": version or "unknown"}],
                },
                "automationDetails": {"id": f"ml-containerize/{plan.name}/"},
                "results": list(_results(plan, shown, order, refusing)),
            }
        ],
    }


def write_sarif(folder: Path, log: Json) -> Path:
    """Write `scan.sarif` into the folder."""
    path = folder / FILE_NAME
    path.write_text(json.dumps(log, indent=1), encoding="utf-8")
    return path


def _rule(finding: Finding) -> Json:
    about = _text(finding.title, _KINDS.get(finding.kind, "Finding"))
    score = _SCORES.get(finding.severity)
    link = finding.url if finding.url.startswith("https://") and finding.url.isascii() else ""
    help_text = f"{about} ({finding.severity.lower()})" + (f": {link}" if link else "")
    return {
        "id": _text(finding.id, "unknown"),
        "name": _KINDS.get(finding.kind, "Finding"),
        "shortDescription": {"text": about},
        "fullDescription": {"text": about},
        "help": {"text": help_text},
        "properties": {
            "tags": ["security", finding.kind],
            "precision": "very-high",
            **({"security-severity": score} if score else {}),
        },
    }


def _results(
    plan: Plan, findings: Sequence[Finding], order: Mapping[str, int], refusing: frozenset[str]
) -> Iterator[Json]:
    places, seen = Places.of(plan), Counter[str]()
    for finding in findings:
        place = places.find(finding)
        key = hashlib.sha256(
            "\0".join((plan.name, finding.id, finding.package, place.uri)).encode()
        ).hexdigest()
        seen[key] += 1
        yield {
            "ruleId": _text(finding.id, "unknown"),
            "ruleIndex": order[finding.id],
            "level": "error" if finding.severity in refusing else _LEVELS.get(finding.severity, "note"),
            "message": {"text": _message(plan, finding)},
            "locations": [_location(place)],
            "partialFingerprints": {"primaryLocationLineHash": f"{key[:16]}:{seen[key]}"},
        }


def _message(plan: Plan, finding: Finding) -> str:
    """One sentence for where there is little room, then what to do."""
    package = f"{finding.package} {finding.installed}".strip()
    named = ", ".join(filter(None, (finding.id, finding.title)))
    fix = f" Fixed in {finding.fixed}." if finding.fixed else ""
    return _text(f"{package} in the image of {plan.name}: {named}.{fix}", finding.id)


def _location(place: Place) -> Json:
    region = {"startLine": place.line, "startColumn": 1, "endLine": place.line, "endColumn": place.width + 1}
    return {"physicalLocation": {"artifactLocation": {"uri": place.uri}, "region": region}}


def _text(text: str, otherwise: str) -> str:
    """A line that is neither empty nor too long."""
    clean = printable(" ".join(text.split()))[:_LONGEST]
    return clean or otherwise
