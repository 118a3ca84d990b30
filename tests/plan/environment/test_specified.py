from __future__ import annotations

from pathlib import Path

import pytest

from ml_containerize.plan.environment.requirements import Requirement
from ml_containerize.plan.environment.specified import Specified, read_specified, unsatisfied


def locked(name: str, version: str) -> Requirement:
    return Requirement(name, version, "", ())


@pytest.mark.parametrize(
    ("wanted", "met"),
    [
        ("numpy", True),
        ("NumPy>=2", True),
        ("numpy<2", False),
        ("pandas", False),
        ("pandas; sys_platform == 'win32'", True),
        ("pandas; python_version < '3.10'", True),
        ("pandas; python_version >= '3.12'", False),
        ("rc>=1.0rc1", True),
        ("scikit_learn", True),
    ],
)
def test_a_lock_is_held_against_what_was_asked_for(wanted: str, met: bool) -> None:
    lock = [locked("numpy", "2.1.0"), locked("rc", "1.0rc1"), locked("scikit-learn", "1.5")]
    assert unsatisfied([Specified(wanted)], lock) == ([] if met else [str(Specified(wanted))])


def test_included_files_are_followed_once(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("-r more/base.txt\n--pre\nnumpy>=2  # why\n./local\n")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "base.txt").write_text("-r ../requirements.txt\nflask\n")
    names = [one.name for one in read_specified(tmp_path / "requirements.txt")]
    assert sorted(set(names)) == ["flask", "numpy"]
