"""The model itself, loaded by the very code that serves it inside the image, in a Python of this machine."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ml_containerize.command import Completed, Run
from ml_containerize.errors import EnvironmentMissing
from ml_containerize.plan.chosen import Chosen
from ml_containerize.plan.environment.serving import serving_folder
from ml_containerize.plan.model.runtimes import server_variables
from ml_containerize.plan.settings.settings import Settings
from ml_containerize.results import Json
from ml_containerize.smoke.cases import parse_json

FindPython = Callable[[Chosen], Path]  # which Python has what loads this model

_LOADING_SECONDS = 600.0
_SHOWN_LINES = 15
# The folder replaces the caller's working directory, whose files could stand in for modules of the same name.
_START = """\
import json, os, runpy, sys
sys.path[0], variables, *sys.argv[1:] = sys.argv[1:]
os.environ.update(json.loads(variables))
runpy.run_module("serving", run_name="__main__", alter_sys=True)
"""


class RecordImpossible(EnvironmentMissing):
    """The Python environment that was made or named cannot load the model."""

    def __init__(self, python: Path, reason: str) -> None:
        super().__init__(
            f"{python} could not answer with the model:\n{reason}",
            "Where a package is missing, write it into requirements.txt and run `ml-containerize lock`; or "
            "name the Python that the model was trained with: --python venv/bin/python.",
        )


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model and the Python that loads it; `variables` go over the caller's own, as in the image."""

    variables: Mapping[str, str]
    python: Path
    run: Run

    @classmethod
    def of(cls, settings: Settings, chosen: Chosen, python: Path, run: Run) -> LocalModel:
        variables = server_variables(settings.name, chosen.format, settings.backend, settings.allow_pickle)
        return cls({**variables, "MODEL_PATH": str(chosen.root)}, python, run)

    def answers(self, requests: Sequence[Json]) -> list[Json]:
        """What /predict would answer to each; a refusal has its `status`. Raises RecordImpossible."""
        return self._ask("predict", requests, len(requests))

    def signature(self) -> Json:
        """The default signature's `inputs` and `outputs`, each with name, dtype and shape.

        Raises RecordImpossible.
        """
        return self._ask("describe", (), 1)[0]

    def _ask(self, work: str, requests: Sequence[Json], expected: int) -> list[Json]:
        lines = "".join(f"{json.dumps(request)}\n" for request in requests)
        with tempfile.TemporaryDirectory(prefix="ml-containerize-") as folder:
            (Path(folder) / "serving").symlink_to(serving_folder(), target_is_directory=True)
            argv = [str(self.python), "-c", _START, folder, json.dumps(dict(self.variables)), work]
            try:
                done = self.run(argv, stdin=lines, timeout=_LOADING_SECONDS)
            except (OSError, TimeoutError) as error:
                raise RecordImpossible(self.python, f"  {error}") from error
        answers = [answer for line in done.stdout.splitlines() if (answer := _parse(line)) is not None]
        if not done.ok or len(answers) != expected:
            raise RecordImpossible(self.python, _last_words(done))
        return answers


def _parse(line: str) -> Json | None:
    """An answer; None for what a framework printed in between."""
    content, problems = parse_json(line.encode())
    return content if not problems and isinstance(content, dict) else None


def _last_words(done: Completed) -> str:
    """The end of what it complained of; of a traceback, the exception."""
    lines = (done.stderr or done.stdout or f"it ended with status {done.status}").strip().splitlines()
    shown = 1 if any(line.startswith("Traceback ") for line in lines) else _SHOWN_LINES
    return "\n".join(f"  {line}" for line in lines[-shown:])
