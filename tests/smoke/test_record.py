from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from doubles.models import PICKLE, keras_bytes

from ml_containerize.command import Completed, run
from ml_containerize.console import Console
from ml_containerize.plan.chosen import PickleNotAllowed
from ml_containerize.plan.settings.settings import Settings, load_settings
from ml_containerize.smoke.ask import RecordImpossible
from ml_containerize.smoke.cases import BadCases, Case, Tolerance, load_cases, parse_case
from ml_containerize.smoke.compare import compare
from ml_containerize.smoke.record import (
    CasesExist,
    NoFirstCase,
    RequestsRefused,
    format_case,
    record,
    record_first,
)


def fake_run(*answers: dict[str, Any], status: int = 0, stderr: str = "") -> Callable[..., Completed]:
    """A Python whose `serving predict` prints some noise, then these answers."""

    def run(argv: Sequence[str], *, stdin: str = "", **_: Any) -> Completed:
        lines = ["loading weights", *map(json.dumps, answers)]
        return Completed(tuple(argv), status, "\n".join(lines), stderr)

    return run


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    project = tmp_path / "project"
    project.mkdir()
    (project / "model.keras").write_bytes(keras_bytes())
    return load_settings(project, {}, {})


def write(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def recorded(
    settings: Settings, requests: Sequence[Path], run: Callable[..., Completed], force: bool = False
) -> tuple[Path, ...]:
    return record(
        settings,
        requests,
        python=lambda _: Path("python"),
        rtol=1e-3,
        atol=1e-5,
        force=force,
        run=run,
        console=Console(quiet=True),
    )


def test_a_request_becomes_a_case_that_loads(settings: Settings, tmp_path: Path) -> None:
    request = write(tmp_path / "one.json", {"data": [[1, 2]]})
    (written,) = recorded(settings, [request], fake_run({"predictions": [[0.25, 0.75]]}))
    assert written == settings.project / "smoke" / "one.json"
    (case,) = load_cases([written])
    assert case == Case("one", {"data": [[1, 2]]}, {"predictions": [[0.25, 0.75]]}, Tolerance(1e-3, 1e-5))


def test_the_server_is_told_of_the_model_as_in_the_image(settings: Settings, tmp_path: Path) -> None:
    seen: list[str] = []

    def run(argv: Sequence[str], **_: Any) -> Completed:
        seen.extend(argv)
        return Completed(tuple(argv), 0, '{"predictions": [1.0]}', "")

    request = write(tmp_path / "one.json", {"data": [[1]]})
    recorded(replace(settings, backend="jax"), [request], run)
    variables = next(json.loads(text) for text in seen if text.startswith("{"))
    assert variables == {
        "MODEL_NAME": "project",
        "MODEL_FORMAT": "keras",
        "MODEL_PATH": str(settings.project / "model.keras"),
        "KERAS_BACKEND": "jax",
    }


def test_no_pickle_is_loaded_that_nobody_allowed(settings: Settings, tmp_path: Path) -> None:
    (settings.project / "model.keras").unlink()
    (settings.project / "model.pkl").write_bytes(PICKLE)
    with pytest.raises(PickleNotAllowed):
        recorded(settings, [write(tmp_path / "one.json", {"data": [[1]]})], fake_run({"predictions": [1.0]}))


def test_a_case_is_recorded_anew_with_its_own_tolerances(settings: Settings, tmp_path: Path) -> None:
    old = {"request": {"data": [[1]]}, "expect": {"predictions": [[9.0]]}, "rtol": 0.5}
    target = settings.project / "smoke" / "one.json"
    target.parent.mkdir()
    write(target, old)
    recorded(settings, [target], fake_run({"predictions": [[0.25]]}), force=True)
    (case,) = load_cases([target])
    assert (case.expect, case.tolerance.rtol) == ({"predictions": [[0.25]]}, 0.5)


def test_a_refusal_is_recorded_only_where_it_is_asked_for(settings: Settings, tmp_path: Path) -> None:
    refusal = {"error": "has 1 element, expected 2", "status": 400}
    request = write(tmp_path / "short.json", {"data": [[1]]})
    with pytest.raises(RequestsRefused, match="short: expected 200, got 400: has 1 element"):
        recorded(settings, [request], fake_run(refusal))
    assert not (settings.project / "smoke").exists()
    write(request, {"request": {"data": [[1]]}, "status": 400})
    (written,) = recorded(settings, [request], fake_run(refusal))
    assert load_cases([written])[0].expect == {"error": "has 1 element, expected 2"}


def test_cases_are_not_replaced_unless_forced(settings: Settings, tmp_path: Path) -> None:
    request = write(tmp_path / "one.json", {"data": [[1]]})
    recorded(settings, [request], fake_run({"predictions": [1.0]}))
    with pytest.raises(CasesExist, match=r"one\.json"):
        recorded(settings, [request], fake_run({"predictions": [2.0]}))
    assert load_cases([settings.project / "smoke/one.json"])[0].expect == {"predictions": [1.0]}


def test_all_bad_requests_are_told_at_once(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    (tmp_path / "b.json").write_text('{"data": [NaN]}')
    paths = [tmp_path / "a.json", tmp_path / "b.json", tmp_path / "c.json"]
    with pytest.raises(BadCases) as caught:
        recorded(settings, paths, fake_run())
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["a.json", "b.json", "c.json"]


def test_two_requests_of_one_name_are_refused(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    paths = [write(tmp_path / "one.json", {"data": [1]}), write(tmp_path / "x/one.json", {"data": [2]})]
    with pytest.raises(BadCases, match="two requests would become this case"):
        recorded(settings, paths, fake_run())


def test_a_python_without_the_framework_is_exit_8_with_its_last_words(
    settings: Settings, tmp_path: Path
) -> None:
    request = write(tmp_path / "one.json", {"data": [[1]]})
    error = "ModuleNotFoundError: No module named 'tensorflow'"
    run = fake_run(status=1, stderr=f'Traceback (most recent call last):\n  File "x", line 1\n{error}\n')
    with pytest.raises(RecordImpossible) as caught:
        recorded(settings, [request], run)
    assert caught.value.exit_code == 8
    assert caught.value.what == f"python could not answer with the model:\n  {error}"
    assert "--python" in caught.value.fix


def test_a_python_that_is_not_there_is_told(settings: Settings, tmp_path: Path) -> None:
    def run(argv: Sequence[str], **_: Any) -> Completed:
        raise FileNotFoundError(2, "No such file or directory", argv[0])

    request = write(tmp_path / "one.json", {"data": [[1]]})
    with pytest.raises(RecordImpossible, match="No such file or directory"):
        recorded(settings, [request], run)


def first(settings: Settings, run: Callable[..., Completed]) -> tuple[Path, ...]:
    return record_first(settings, python=lambda _: Path("python"), run=run, console=Console(quiet=True))


PIXELS = {"inputs": [{"name": "pixels", "dtype": "float32", "shape": [None, 2]}], "outputs": []}


def model_double(signature: dict[str, Any], *answers: dict[str, Any]) -> Callable[..., Completed]:
    """A Python whose server describes the model first and then answers."""
    runs = [fake_run(signature), fake_run(*answers)]
    return lambda argv, **options: runs.pop(0)(argv, **options)


def test_first_cases_are_made_up_from_the_models_signature(settings: Settings) -> None:
    answers = {"predictions": [[0.5]]}, {"predictions": [[0.1], [0.2], [0.3]]}
    written = first(settings, model_double(PIXELS, *answers))
    zeros, made_up = load_cases(written)
    assert zeros == Case("zeros", {"instances": [[0.0, 0.0]]}, answers[0])
    assert made_up.request == {"instances": [[0.0, 0.7], [0.3, 0.0], [0.6, 0.3]]}
    assert [path.relative_to(settings.project).as_posix() for path in written] == [
        "smoke/zeros.json",
        "smoke/made-up.json",
    ]


def test_a_projects_own_requests_come_before_made_up_ones(settings: Settings) -> None:
    (settings.project / "requests").mkdir()
    write(settings.project / "requests" / "one.json", {"data": [[1, 2]]})
    (written,) = first(settings, fake_run({"predictions": [0.5]}))
    assert load_cases([written])[0].request == {"data": [[1, 2]]}


def test_a_made_up_request_that_the_model_refuses_is_no_case(settings: Settings) -> None:
    refusal = {"error": "no zeros, please", "status": 400}
    (written,) = first(settings, model_double(PIXELS, refusal, {"predictions": [[0.1], [0.2], [0.3]]}))
    assert written.name == "made-up.json"


@pytest.mark.parametrize(
    ("signature", "answers", "told"),
    [
        (PIXELS, [{"error": "no", "status": 400}, {"error": "never", "status": 500}], "no\n  never"),
        ({"inputs": [{"name": "instances", "dtype": "json", "shape": [None]}]}, [], "its signature"),
    ],
)
def test_where_nothing_can_be_made_up_a_request_is_asked_for(
    settings: Settings, signature: dict[str, Any], answers: Sequence[dict[str, Any]], told: str
) -> None:
    with pytest.raises(NoFirstCase, match=told) as caught:
        first(settings, model_double(signature, *answers))
    assert str(settings.project / "requests" / "one.json") in caught.value.fix
    assert not (settings.project / "smoke").exists()


def test_a_recorded_case_has_each_row_on_a_line_of_its_own() -> None:
    case = Case("one", {"data": [[1, 2], [3, 4]]}, {"predictions": [["é"]]})
    assert format_case(case) == (
        '{\n  "request": {\n    "data": [\n      [1, 2],\n      [3, 4]\n    ]\n  },\n'
        '  "expect": {\n    "predictions": [\n      ["é"]\n    ]\n  },\n'
        '  "rtol": 0.0001,\n  "atol": 1e-06\n}\n'
    )
    assert parse_case("one", format_case(case).encode()) == case


@pytest.mark.e2e
def test_the_digits_model_answers_as_its_cases_say(settings: Settings, tmp_path: Path) -> None:
    example = Path(__file__).parents[2] / "examples" / "digits"
    shutil.copy(example / "model.keras", settings.project / "model.keras")
    paths = [example / "smoke" / name for name in ("one-scan.json", "refuses-63-pixels.json")]
    written = record(
        settings,
        paths,
        python=lambda _: Path(sys.executable),
        rtol=1e-4,
        atol=1e-6,
        force=False,
        run=run,
        console=Console(quiet=True),
    )
    for case, known in zip(load_cases(written), load_cases(paths), strict=True):
        assert case.status == known.status
        assert compare(known.expect, case.expect, known.tolerance) == []
