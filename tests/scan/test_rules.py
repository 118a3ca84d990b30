from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ml_containerize.results import Finding
from ml_containerize.scan.rules import Purl, Rule, path_pattern

FLASK = Finding(
    "CVE-1",
    "Flask",
    "2.2.0",
    "",
    "HIGH",
    target="Python",
    path="opt/venv/lib/python3.12/site-packages/flask-2.2.0.dist-info/METADATA",
    purl="pkg:pypi/flask@2.2.0",
)
BASH = Finding(
    "CVE-1", "bash", "5.2", "", "LOW", purl="pkg:deb/debian/bash@5.2.15-2%2Bb7?arch=amd64&distro=debian-12.5"
)
SECRET = Finding("github-pat", "x", "", "", "HIGH", target="/opt/app/x", kind="secret", path="/opt/app/x")


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("opt/app/x.py", "opt/app/x.py", "opt/app/xxpy"),
        ("opt/*/x.py", "opt/app/x.py", "opt/app/deep/x.py"),
        ("opt/**/x.py", "opt/x.py", "opt/x.pyc"),
        ("opt/**/x.py", "opt/a/b/x.py", "other/x.py"),
        ("**/x.py", "x.py", "ax.py"),
        ("opt/**", "opt/a/b", "other"),
        ("opt/?.py", "opt/a.py", "opt/ab.py"),
        ("opt/?.py", "opt/ä.py", "opt//.py"),
        ("*.{json,toml}", "a.toml", "a.yaml"),
        ("[a-c]x", "bx", "dx"),
        ("[!a-c]x", "dx", "bx"),
        (r"a\*b", "a*b", "aab"),
        ("a,b", "a,b", "a"),
        ("a(b)+.c", "a(b)+.c", "abbxc"),
    ],
)
def test_a_path_pattern_means_what_it_means_to_trivy(pattern: str, matching: str, other: str) -> None:
    assert path_pattern(pattern).fullmatch(matching)
    assert not path_pattern(pattern).fullmatch(other)


@pytest.mark.parametrize("pattern", ["{a,b", "[z-a]"])
def test_a_broken_path_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="is not a path pattern"):
        path_pattern(pattern)


@pytest.mark.parametrize(
    ("rule", "covered"),
    [
        ("pkg:pypi/flask", True),
        ("pkg:pypi/Flask@2.2.0", True),
        ("pkg:pypi/flask@2.3.0", False),
        ("pkg:pypi/flask-cors", False),
        ("pkg:npm/flask", False),
    ],
)
def test_a_package_url_covers_its_versions(rule: str, covered: bool) -> None:
    assert Purl.parse(rule).covers(Purl.parse("pkg:pypi/flask@2.2.0")) is covered


@pytest.mark.parametrize(
    ("rule", "covered"),
    [
        ("pkg:deb/debian/bash", True),
        ("pkg:deb/debian/bash?arch=amd64", True),
        ("pkg:deb/debian/bash@5.2.15-2%2Bb7?distro=debian-12.5", True),
        ("pkg:deb/debian/bash?arch=arm64", False),
        ("pkg:deb/ubuntu/bash", False),
    ],
)
def test_a_package_url_covers_what_its_qualifiers_say(rule: str, covered: bool) -> None:
    assert Purl.parse(rule).covers(Purl.parse(BASH.purl)) is covered


@pytest.mark.parametrize("text", ["", "flask", "pkg:pypi", "pkg:/flask", "cpe:2.3:a:x"])
def test_what_is_no_package_url_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a package URL"):
        Purl.parse(text)


def test_a_rule_is_about_its_id_only() -> None:
    assert Rule("CVE-1", "x:1").matches(FLASK)
    assert not Rule("CVE-10", "x:1").matches(FLASK)
    assert not Rule("cve-1", "x:1").matches(FLASK)


def test_a_rule_of_one_section_is_not_about_another_kind() -> None:
    rule = Rule("github-pat", "x:1", sections=frozenset({"vulnerabilities"}))
    assert not rule.matches(SECRET)
    assert Rule("github-pat", "x:1", sections=frozenset({"secrets"})).matches(SECRET)


@pytest.mark.parametrize("pattern", ["opt/app/*", "/opt/app/*"])
def test_a_path_is_found_with_and_without_its_first_slash(pattern: str) -> None:
    assert Rule("github-pat", "x:1", paths=(path_pattern(pattern),)).matches(SECRET)


def test_a_vulnerability_is_found_by_its_target_or_by_its_packages_file() -> None:
    for pattern, found in (("Python", True), ("opt/venv/**", True), ("usr/**", False)):
        assert Rule("CVE-1", "x:1", paths=(path_pattern(pattern),)).matches(FLASK) is found


def test_a_rule_ends_when_its_day_begins() -> None:
    rule = Rule("CVE-1", "x:1", expires=datetime(2026, 11, 21, tzinfo=UTC))
    assert not rule.has_expired(datetime(2026, 11, 20, 23, 59, tzinfo=UTC))
    assert rule.has_expired(datetime(2026, 11, 21, 0, 1, tzinfo=UTC))
    assert not Rule("CVE-1", "x:1").has_expired(datetime(2999, 1, 1, tzinfo=UTC))
