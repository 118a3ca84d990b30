from __future__ import annotations

from pathlib import Path

import pytest

from ml_containerize.plan.environment.requirements import (
    BadLock,
    UnreadableRequirements,
    logical_lines,
    parse_locked,
    read_lock,
)

HASH = "--hash=sha256:" + "0" * 64
OTHER = "--hash=sha256:" + "1" * 64


def test_a_locked_line_is_read_with_marker_extras_and_hashes() -> None:
    line = f"Scikit_Learn[Plot,async]==1.5.0 ;  python_version  < '3.12' {OTHER} {HASH} {HASH}"
    requirement = parse_locked(line)
    assert requirement.name == "scikit-learn"
    assert requirement.version == "1.5.0"
    assert requirement.extras == ("async", "plot")
    assert requirement.marker == "python_version < '3.12'"
    assert len(requirement.hashes) == 2
    assert str(requirement) == f"scikit-learn[async,plot]==1.5.0 ; python_version < '3.12' {HASH} {OTHER}"
    assert parse_locked(str(requirement)) == requirement


def test_lines_are_continued_and_comments_dropped() -> None:
    text = f"# header\na==1 \\\n    {HASH} \\\n    {OTHER}  # end\n    # via b\n\nb==2 {HASH}"
    assert list(logical_lines(text)) == [(2, f"a==1 {HASH} {OTHER}"), (7, f"b==2 {HASH}")]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (f"numpy>=2 {HASH}", "numpy>=2 is not locked to one version"),
        (f"numpy {HASH}", "numpy is not locked to one version"),
        (f"numpy==2.* {HASH}", "numpy==2.* is not locked to one version"),
        (f"numpy==2,<3 {HASH}", "numpy==2,<3 is not locked to one version"),
        ("numpy==2.1.0", "numpy has no --hash"),
        ("numpy==2.1.0 --hash=md5:abc", "the option --hash has no place in a lock"),
        ("-i https://example.org/simple", "the option -i has no place in a lock"),
        ("--index-url=https://example.org/simple", "the option --index-url has no place in a lock"),
        ("--extra-index-url https://example.org", "the option --extra-index-url has no place in a lock"),
        ("--find-links ./wheels", "the option --find-links has no place in a lock"),
        ("-r other.lock", "the option -r has no place in a lock"),
        ("-e ./package", "the option -e has no place in a lock"),
        (f"pkg @ https://example.org/pkg.whl {HASH}", "pkg comes from a path or a URL, not from an index"),
        (f"git+https://example.org/pkg {HASH}", "comes from a path or a URL"),
        (f"./pkg.whl {HASH}", "./pkg.whl comes from a path or a URL, not from an index"),
    ],
)
def test_what_is_unlocked_unhashed_or_foreign_is_refused_with_its_line(
    tmp_path: Path, line: str, why: str
) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(f"flask==3.1.0 {HASH}\n{line}\n")
    with pytest.raises(BadLock) as caught:
        read_lock(lock)
    assert "requirements.lock:2: " in caught.value.what
    assert why in caught.value.what
    assert "`ml-containerize lock`" in caught.value.fix
    assert caught.value.exit_code == 3


def test_all_bad_lines_are_told_at_once(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("a>=1\nb==1\n--pre\n")
    with pytest.raises(BadLock) as caught:
        read_lock(lock)
    assert [line.strip(" -") for line in caught.value.what.splitlines()[1:]] == [
        "requirements.lock:1: a>=1 is not locked to one version",
        "requirements.lock:2: b has no --hash",
        "requirements.lock:3: the option --pre has no place in a lock",
    ]


def test_a_lock_that_is_not_text_is_told(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_bytes(b"\xff\xfe")
    with pytest.raises(UnreadableRequirements, match="UTF-8"):
        read_lock(lock)
    with pytest.raises(UnreadableRequirements, match="No such file"):
        read_lock(tmp_path / "none.lock")
