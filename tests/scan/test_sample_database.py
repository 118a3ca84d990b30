"""The sample of advisories in examples/trivy-db: well formed, and always the same file."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ml_containerize.scan.database import read_database

FOLDER = Path(__file__).parents[2] / "examples" / "trivy-db"
ADVISORIES: dict[str, Any] = json.loads((FOLDER / "advisories.json").read_text())
VERSION = r"[0-9]+(?:\.[0-9]+)*(?:rc[0-9]+)?"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_trivy_db", FOLDER / "make.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module  # data classes look their module up by name
    spec.loader.exec_module(module)
    return module


make = load()


def test_the_same_advisories_give_the_same_bytes(tmp_path: Path) -> None:
    make.main([str(tmp_path / "one")])
    make.main([str(tmp_path / "two")])
    for name in ("trivy.db", "metadata.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_the_sample_says_that_it_is_one(tmp_path: Path) -> None:
    make.main([str(tmp_path)])
    database = read_database(tmp_path)
    assert database is not None
    assert "sample of" in database.note
    assert not database.is_usable(database.updated)


@pytest.mark.parametrize("advisory", ADVISORIES["python"], ids=lambda advisory: advisory["id"])
def test_each_python_advisory_names_its_source_and_closed_ranges(advisory: dict[str, Any]) -> None:
    assert re.fullmatch(r"CVE-[0-9]{4}-[0-9]{4,}", advisory["id"])
    assert re.fullmatch(r"GHSA(-[2-9cfghjmpqrvwx]{4}){3}", advisory["source"])
    assert re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", advisory["published"])
    assert advisory["severity"] in make.SEVERITIES
    assert advisory["title"]
    for name, ranges in advisory["affected"].items():
        assert name == name.lower().replace("_", "-")
        assert ranges
        assert all(re.fullmatch(rf"(>={VERSION}, )?<{VERSION}", versions) for versions in ranges)


def test_advisories_are_listed_once_and_in_order() -> None:
    numbers = [tuple(map(int, advisory["id"].split("-")[1:])) for advisory in ADVISORIES["python"]]
    assert numbers == sorted(set(numbers))


def test_a_bucket_beyond_a_page_goes_on_in_overflow_pages() -> None:
    few, many = ({f"key {n}": b"x" * 50 for n in range(count)} for count in (2, 500))
    pages = make.Pages()
    number = pages.append(make.leaf(many, pages))
    _, flags, count, overflow = make.HEADER.unpack_from(pages.content, number * make.PAGE)
    assert (flags, count) == (make.LEAF, 500)
    assert pages.count == number + 1 + overflow
    assert make.nested_bucket(few, pages).startswith(bytes(16))  # small: its page is in line
