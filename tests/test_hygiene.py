"""What must not slip into a supply chain: loose pins, host names, expressions in shell."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
LOCKED = ("requirements", "serving", "examples", "benchmarks")
LOCKS = sorted(path for folder in LOCKED for path in (ROOT / folder).rglob("*.lock"))
ACTIONS = sorted([ROOT / "action.yml", *(ROOT / ".github").rglob("*.yml")])
SOURCES = sorted(path for folder in ("scripts", "serving") for path in (ROOT / folder).rglob("*.py"))

PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")
OWN = re.compile(r"\./.*|[\w.-]+/ml-containerize(/[\w./-]+)?@v\d+")


def short(path: Path) -> str:
    return str(path.relative_to(ROOT))


def members(document: object, wanted: str) -> Iterator[Any]:
    """Every value of a key, at any depth."""
    if isinstance(document, dict):
        for key, value in document.items():
            if key == wanted:
                yield value
            yield from members(value, wanted)
    elif isinstance(document, list):
        for item in document:
            yield from members(item, wanted)


@pytest.mark.parametrize("lock", LOCKS, ids=short)
def test_a_lock_file_names_no_host(lock: Path) -> None:
    assert "://" not in lock.read_text()
    assert "index-url" not in lock.read_text()


@pytest.mark.parametrize("lock", LOCKS, ids=short)
def test_every_locked_package_has_an_exact_version_and_hashes(lock: Path) -> None:
    text = lock.read_text().replace("\\\n", " ")
    for line in filter(None, text.splitlines()):
        assert re.match(r"[\w.\[\],-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line), line


@pytest.mark.parametrize(
    "text", tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
)
@pytest.mark.parametrize("lock", ["command.lock", "dev.lock"])
def test_a_dependency_of_the_command_is_locked_in_a_version_that_suits_it(text: str, lock: str) -> None:
    dependency = Requirement(text)
    found = re.findall(
        rf"^{dependency.name}==([^ ;]+)", (ROOT / "requirements" / lock).read_text(), re.MULTILINE
    )
    assert found
    assert all(version in dependency.specifier for version in found)


def locked(path: str) -> set[str]:
    return set(re.findall(r"^[\w.\[\],-]+==[^ ]+", (ROOT / path).read_text(), re.MULTILINE))


@pytest.mark.parametrize("path", ["requirements/command.lock", "serving/requirements/tensorflow.lock"])
def test_the_tests_use_the_versions_that_users_get(path: str) -> None:
    assert locked(path) <= locked("requirements/dev.lock")


@pytest.mark.parametrize("path", ACTIONS, ids=short)
def test_every_action_is_pinned_by_commit_unless_it_is_our_own(path: Path) -> None:
    for used in members(yaml.safe_load(path.read_text()), "uses"):
        assert PINNED.fullmatch(used) or OWN.fullmatch(used), used


@pytest.mark.parametrize("path", ACTIONS, ids=short)
def test_a_pinned_commit_says_its_version(path: Path) -> None:
    for line in path.read_text().splitlines():
        if re.search(r"uses: .*@[0-9a-f]{40}", line):
            assert re.search(r" # v\d", line), line


@pytest.mark.parametrize("path", ACTIONS, ids=short)
def test_no_expression_is_pasted_into_a_shell(path: Path) -> None:
    for command in members(yaml.safe_load(path.read_text()), "run"):
        assert "${{" not in command


@pytest.mark.parametrize("path", [path for path in ACTIONS if path.name != "action.yml"], ids=short)
def test_a_checkout_leaves_no_token_behind(path: Path) -> None:
    for job in members(yaml.safe_load(path.read_text()), "steps"):
        for step in job:
            if str(step.get("uses", "")).startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("path", SOURCES, ids=short)
def test_no_program_is_started_through_a_shell(path: Path) -> None:
    assert not re.search(r"shell\s*=\s*True|os\.system\(|os\.popen\(", path.read_text())
