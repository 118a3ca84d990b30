from __future__ import annotations

import json
from typing import Any

import pytest

from ml_containerize.names import Digest
from ml_containerize.results import Finding
from ml_containerize.scan.findings import MalformedReport, WrongImageScanned, decode, parse_report

CONFIG = Digest("1" * 64)
FLASK: dict[str, Any] = {
    "VulnerabilityID": "CVE-2023-30861",
    "PkgName": "Flask",
    "PkgPath": "opt/venv/lib/python3.12/site-packages/flask-2.2.0.dist-info/METADATA",
    "PkgIdentifier": {"PURL": "pkg:pypi/flask@2.2.0"},
    "InstalledVersion": "2.2.0",
    "FixedVersion": "2.2.5, 2.3.2",
    "Severity": "HIGH",
    "Title": "possible disclosure of permanent session cookie",
    "PrimaryURL": "https://avd.aquasec.com/nvd/cve-2023-30861",
}
SECRET: dict[str, Any] = {
    "RuleID": "aws-access-key-id",
    "Severity": "CRITICAL",
    "Title": "AWS Access Key ID",
    "StartLine": 3,
    "Code": {"Lines": [{"Content": "the line after it: hunter2"}]},
    "Match": "key = ****",
}


def report(*results: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {
        "SchemaVersion": 2,
        "ArtifactName": "/home/ada/layout",
        "Metadata": {"ImageID": str(CONFIG), **metadata},
        "Results": list(results),
    }


def python(**vulnerability: Any) -> dict[str, Any]:
    changed = {key: value for key, value in {**FLASK, **vulnerability}.items() if value is not None}
    return {"Target": "Python", "Class": "lang-pkgs", "Vulnerabilities": [changed]}


def test_a_vulnerability_is_read_with_all_that_rules_may_ask_for() -> None:
    (finding,) = parse_report(report(python()), CONFIG).findings
    assert finding == Finding(
        id="CVE-2023-30861",
        package="Flask",
        installed="2.2.0",
        fixed="2.2.5, 2.3.2",
        severity="HIGH",
        title="possible disclosure of permanent session cookie",
        url="https://avd.aquasec.com/nvd/cve-2023-30861",
        target="Python",
        path="opt/venv/lib/python3.12/site-packages/flask-2.2.0.dist-info/METADATA",
        purl="pkg:pypi/flask@2.2.0",
    )


def test_a_vulnerability_without_a_fix_has_none() -> None:
    (finding,) = parse_report(report(python(FixedVersion=None, Title=None)), CONFIG).findings
    assert finding.fixed == ""


def test_a_vulnerability_that_is_reported_twice_counts_once() -> None:
    assert len(parse_report(report(python(), python()), CONFIG).findings) == 1
    other_place = python(PkgPath="opt/app/METADATA")
    assert len(parse_report(report(python(), other_place), CONFIG).findings) == 2


def test_a_secret_is_told_by_its_rule_and_place_never_by_its_text() -> None:
    document = decode(json.dumps(report({"Target": "/opt/app/x", "Secrets": [SECRET]})).encode(), "digits")
    (finding,) = parse_report(document, CONFIG).findings
    assert (finding.id, finding.kind, finding.severity) == ("aws-access-key-id", "secret", "CRITICAL")
    assert finding.title == "AWS Access Key ID, line 3"
    assert finding.path == "/opt/app/x"
    assert "hunter2" not in json.dumps(document) + repr(finding)
    assert "****" not in json.dumps(document)


def test_a_misconfiguration_counts_unless_its_check_passed() -> None:
    check = {"ID": "DS002", "Severity": "HIGH", "Title": "Image user should not be 'root'", "Status": "FAIL"}
    result = {"Target": "Dockerfile", "Misconfigurations": [check, {**check, "Status": "PASS"}]}
    (finding,) = parse_report(report(result), CONFIG).findings
    assert (finding.id, finding.kind, finding.package) == ("DS002", "misconfiguration", "Dockerfile")


def test_a_licence_is_read() -> None:
    licence = {"Name": "AGPL-3.0", "Severity": "CRITICAL", "PkgName": "x", "Category": "forbidden"}
    (finding,) = parse_report(report({"Target": "Python", "Licenses": [licence]}), CONFIG).findings
    assert (finding.id, finding.kind, finding.title) == ("AGPL-3.0", "license", "forbidden")


def test_a_report_without_results_is_a_clean_one() -> None:
    document = report()
    del document["Results"]
    assert parse_report(document, CONFIG).findings == ()


def test_packages_and_an_unmaintained_distribution_are_noticed() -> None:
    system = {"Family": "debian", "Name": "10.13", "EOSL": True}
    found = parse_report(report({"Target": "x", "Packages": [{"Name": "bash"}] * 3}, OS=system), CONFIG)
    assert (found.packages, found.system, found.end_of_life) == (3, "debian 10.13", True)


def test_a_report_about_another_image_is_refused() -> None:
    with pytest.raises(WrongImageScanned):
        parse_report(report(), Digest("2" * 64))
    with pytest.raises(WrongImageScanned, match="unknown"):
        parse_report({**report(), "Metadata": {}}, CONFIG)


@pytest.mark.parametrize(
    ("document", "where"),
    [
        ({**report(), "SchemaVersion": 3}, "SchemaVersion"),
        ({"SchemaVersion": 2}, "Metadata"),
        ({**report(), "Results": {}, "Metadata": []}, "Metadata"),
        ({**report(), "Results": "none"}, "Results"),
        ({**report(), "Results": ["none"]}, "Results"),
        (report({"Target": "x", "Vulnerabilities": "none"}), r"Results\[0\]\.Vulnerabilities"),
        (report(python(VulnerabilityID=None)), r"Results\[0\]\.Vulnerabilities\[0\]\.VulnerabilityID"),
        (report(python(PkgName="")), r"\.PkgName"),
        (report(python(Severity="URGENT")), r"\.Severity"),
        (report(python(FixedVersion=["1"])), r"\.FixedVersion"),
        (report(python(PkgIdentifier="flask")), r"\.PkgIdentifier"),
    ],
)
def test_what_is_not_understood_is_never_read_as_nothing_found(document: Any, where: str) -> None:
    with pytest.raises(MalformedReport, match=where) as caught:
        parse_report(document, CONFIG)
    assert caught.value.exit_code == 6


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff"])
def test_what_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedReport):
        decode(body, "digits")


def test_the_kept_report_does_not_tell_where_the_layout_lies() -> None:
    body = json.dumps(report({"Target": "/home/ada/layout (debian 12.5)"})).encode()
    document = decode(body, "digits")
    assert document["ArtifactName"] == "digits"
    assert document["Results"][0]["Target"] == "digits (debian 12.5)"
