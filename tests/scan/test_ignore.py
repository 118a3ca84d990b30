from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from ml_containerize.results import Finding
from ml_containerize.scan.ignore import MalformedIgnoreFile, read_rules
from ml_containerize.scan.rules import Purl, Rule

LINES = """\
# what we accept, and why

CVE-2023-30861
  CVE-2024-1135 exp:2026-12-31
\tCVE-2024-6827   # no permanent sessions here
github-pat exp:2026-01-01 test data
"""
YAML = """\
vulnerabilities:
  - id: CVE-2023-30861
    paths:
      - "opt/venv/**/flask-*"
    purls:
      - pkg:pypi/flask
    expired_at: 2026-12-31
    statement: no permanent sessions here
  - id: CVE-2024-1135
secrets:
  - id: github-pat
    expired_at: 2026-12-31T12:00:00Z
misconfigurations:
"""


def written(folder: Path, text: str, name: str = ".trivyignore") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(MalformedIgnoreFile) as caught:
        read_rules([path])
    assert caught.value.exit_code == 2
    return caught.value.what


def test_each_line_is_a_rule_with_its_place_and_its_end(tmp_path: Path) -> None:
    assert read_rules([written(tmp_path, LINES)]) == (
        Rule("CVE-2023-30861", ".trivyignore:3"),
        Rule("CVE-2024-1135", ".trivyignore:4", datetime(2026, 12, 31, tzinfo=UTC)),
        Rule("CVE-2024-6827", ".trivyignore:5"),
        Rule("github-pat", ".trivyignore:6", datetime(2026, 1, 1, tzinfo=UTC)),
    )


def test_the_yaml_form_tells_sections_paths_packages_and_dates(tmp_path: Path) -> None:
    first, second, third = read_rules([written(tmp_path, YAML, ".trivyignore.yaml")])
    assert first.where == ".trivyignore.yaml:2"
    assert first.sections == {"vulnerabilities"}
    assert first.expires == datetime(2026, 12, 31, tzinfo=UTC)
    assert first.purls == (Purl("pypi", "flask"),)
    assert first.paths[0].fullmatch("opt/venv/lib/flask-2.2.0")
    assert second == Rule("CVE-2024-1135", ".trivyignore.yaml:9", sections=frozenset({"vulnerabilities"}))
    assert third.sections == {"secrets"}
    assert third.expires == datetime(2026, 12, 31, 12, tzinfo=UTC)


def test_the_rules_of_several_files_hold_together(tmp_path: Path) -> None:
    files = [written(tmp_path, "CVE-1\n", "a"), written(tmp_path, "CVE-2", "b"), written(tmp_path, "", "c")]
    assert [rule.where for rule in read_rules(files)] == ["a:1", "b:1"]


@pytest.mark.parametrize("name", ["empty.yaml", "empty.yml", "empty"])
def test_an_empty_file_has_no_rules(tmp_path: Path, name: str) -> None:
    assert read_rules([written(tmp_path, "", name)]) == ()


def test_a_rule_for_the_models_own_code_can_be_written_in_both_forms(tmp_path: Path) -> None:
    finding = Finding("MLC-KERAS-LAMBDA", "model.keras", "", "", "CRITICAL", kind="model")
    lines = written(tmp_path, "MLC-KERAS-LAMBDA\n")
    yaml = written(tmp_path, "vulnerabilities: [{id: MLC-KERAS-LAMBDA}]", "x.yaml")
    assert all(rule.matches(finding) for rule in read_rules([lines, yaml]))


def test_every_wrong_date_is_told_with_its_line(tmp_path: Path) -> None:
    told = refusal(written(tmp_path, "CVE-1 exp:tomorrow\nCVE-2\nCVE-3 exp:2026-02-30\n"))
    assert "line 1: 'tomorrow'" in told
    assert "line 3: '2026-02-30'" in told


def test_everything_wrong_in_a_yaml_file_is_told_at_once(tmp_path: Path) -> None:
    told = refusal(
        written(
            tmp_path,
            """\
vulnerabilities:
  - CVE-1
  - id: CVE-2
    path: [x]
  - id: CVE-3
    expired_at: soon
  - id: CVE-4
    paths: "{a"
  - id: CVE-5
    purls: [flask]
vulnerability: []
secrets: {}
""",
            "x.yaml",
        )
    )
    for problem in (
        "line 2 is not a mapping",
        "line 3: unknown: path",
        "line 5: `expired_at` 'soon'",
        "line 7: `paths` is not a list",
        "line 9: 'flask' is not a package URL",
        "'vulnerability' is none of",
        "secrets is not a list",
    ):
        assert problem in told


@pytest.mark.parametrize(
    "text", ["[", "- a", "x", "vulnerabilities: [{id: !!python/object:os.system x}]", "vulnerabilities: [{}]"]
)
def test_what_is_no_ignore_file_is_refused(tmp_path: Path, text: str) -> None:
    refusal(written(tmp_path, text, "x.yml"))


def test_a_file_that_is_missing_or_no_text_is_refused(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "missing")
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    refusal(binary)
