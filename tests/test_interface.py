"""One declaration, many views: flags, variables, config keys, action inputs, reference and schema agree."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from generate import generated
from ml_containerize import cli
from ml_containerize.plan.monorepo.selection import Selection
from ml_containerize.plan.settings.options import OPTIONS
from ml_containerize.report.collect import Overview
from ml_containerize.report.github import outputs, overview_outputs
from ml_containerize.report.record import Record, Result
from reference import REFERENCE
from reference.commands import commands

ROOT = Path(__file__).parents[1]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
COMMANDS = [name for name, _about, _parser in commands(cli.parser())]


def test_action_reference_and_schema_are_what_the_declarations_generate() -> None:
    differing = [str(path) for path, text in generated().items() if (ROOT / path).read_text() != text]
    assert differing == [], "run `make generate`"


def test_every_input_reaches_the_command_through_the_environment_and_not_the_shell() -> None:
    (step,) = ACTION["runs"]["steps"]
    assert "${{" not in step["run"]
    assert step["env"] == {
        f"ML_CONTAINERIZE_{name.upper().replace('-', '_')}": f"${{{{ inputs.{name} }}}}"
        for name in ACTION["inputs"]
    }


def test_the_action_declares_the_outputs_that_the_command_writes() -> None:
    of_models = Selection((), (), False, "").outputs()
    of_report = overview_outputs(Overview(()))
    assert set(ACTION["outputs"]) == {*outputs(Record(Result.FAILED, ()), Path()), *of_models, *of_report}


def test_every_option_is_a_flag_of_run_unless_it_says_otherwise() -> None:
    known = cli.parser().parse_args(["run"])
    assert [o.name for o in OPTIONS if o.as_flag and not o.only_for and not hasattr(known, o.name)] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_a_place_in_the_reference(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "--help"])
    assert ended.value.code == 0
    assert "exit codes" in capsys.readouterr().out
    assert f"\n## `{command}`\n" in (ROOT / REFERENCE / "commands.md").read_text()


def test_every_command_of_the_parser_is_told_of() -> None:
    assert {"run", "plan", "build", "smoke", "scan", "push", "serve", "record", "lock"} <= set(COMMANDS)


def test_a_wrong_setting_is_exit_2_and_names_every_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], chdir: Callable[[Path], None]
) -> None:
    chdir(tmp_path)
    (tmp_path / "ml-containerize.yaml").write_text("severty: HIGH\npush: yess\n")
    assert cli.main(["run", str(tmp_path), "--gpus", "many"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert all(word in told.err for word in ("severity", "yess", "many"))


def test_a_run_that_fails_at_its_settings_still_leaves_a_record(
    tmp_path: Path, chdir: Callable[[Path], None]
) -> None:
    chdir(tmp_path)
    cli.main(["run", str(tmp_path / "missing")])
    assert '"result": "failed"' in (tmp_path / ".ml-containerize" / "result.json").read_text()
