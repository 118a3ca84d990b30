"""What maintainers' workflows run: notes of a version, pinned examples; and who is asked about what."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pin_examples import main as pin_main
from pin_examples import pages, pin
from release_notes import main as notes_main
from release_notes import notes_of, released_version

ROOT = Path(__file__).parents[1]
COMMIT = "5c0f" * 10
CHANGELOG = """\
# Changelog

## [Unreleased]

## [1.10.0] - 2026-12-01

### Added

- Ten.

## [1.1.0] - 2026-11-01

- One.

[1.1.0]: https://example.org
"""


def test_the_notes_of_a_version_are_its_section_of_the_changelog() -> None:
    assert notes_of(CHANGELOG, "1.10.0") == "### Added\n\n- Ten."
    assert notes_of(CHANGELOG, "1.1.0") == "- One."


@pytest.mark.parametrize("version", ["1.1", "1.1.", "2.0.0", "", ".*", "Unreleased"])
def test_a_version_without_a_section_has_no_notes(version: str) -> None:
    assert notes_of(CHANGELOG, version) == ""


def test_another_version_than_the_codes_is_not_released() -> None:
    with pytest.raises(SystemExit, match="set the version first"):
        notes_main(["99.0.0"])
    assert released_version('"""Doc."""\n\n__version__ = "1.2.3"\n') == "1.2.3"


@pytest.mark.parametrize("used", ["v1", "v1.0.0", "0" * 40, f"{'0' * 40} # v1.0.0"])
def test_the_action_and_its_workflows_are_pinned_whatever_they_were_before(used: str) -> None:
    action, workflow = "uses: org/ml-containerize", "uses: org/ml-containerize/.github/workflows/pr-check.yml"
    text = f"- {action}@{used}\n    {workflow}@{used}\nother words\n"
    assert pin(text, COMMIT, "1.2.3") == (
        f"- {action}@{COMMIT} # v1.2.3\n    {workflow}@{COMMIT} # v1.2.3\nother words\n"
    )


def test_pinning_again_changes_nothing_and_other_actions_stay() -> None:
    text = "- uses: org/ml-containerize@v1\n- uses: actions/checkout@" + "1" * 40 + " # v7.0.1\n"
    once = pin(text, COMMIT, "1.2.3")
    assert pin(once, COMMIT, "1.2.3") == once
    assert once.endswith(text.splitlines()[1] + "\n")


def test_every_example_that_people_copy_is_pinned() -> None:
    for page in pages(ROOT):
        for line in pin(page.read_text(), COMMIT, "1.2.3").splitlines():
            if line.strip().removeprefix("- ").startswith("uses: org/ml-containerize"):
                assert f"@{COMMIT} # v1.2.3" in line, f"{page}: {line}"


@pytest.mark.parametrize("argv", [["v1", "1.2.3"], [COMMIT, "v1.2.3"], [COMMIT, "1.2"], [COMMIT, "$(id)"]])
def test_nothing_but_a_commit_and_a_version_is_written_into_the_examples(argv: list[str]) -> None:
    with pytest.raises(SystemExit, match="usage"):
        pin_main(argv)


def test_updates_wait_for_seven_days() -> None:
    updates = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text())["updates"]
    assert {update["package-ecosystem"] for update in updates} == {"github-actions", "docker"}
    assert all(update["cooldown"]["default-days"] == 7 for update in updates)
    assert "7 days ago" in (ROOT / ".github" / "workflows" / "update-locks.yml").read_text()


def test_everything_that_has_an_owner_is_there() -> None:
    lines = (ROOT / ".github" / "CODEOWNERS").read_text().splitlines()
    owned = [line.split()[0] for line in lines if line and not line.startswith("#")]
    assert [path for path in owned if not (ROOT / path.strip("/")).exists()] == []
    assert "/action.yml" in owned
