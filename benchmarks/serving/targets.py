"""Every server that is measured: ours and the peers, each in the ways in which its documentation runs it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from benchmarks.machine import ROOT
from benchmarks.serving.environments import interpreter
from benchmarks.serving.load import Array, Form, Load, Reply, json_form
from benchmarks.serving.made import Made
from benchmarks.serving.processes import Command

PEERS = Path(__file__).parent / "peers"
QUIET = {  # nothing is sent anywhere, and no log is filled with a framework's notes
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "BENTOML_DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
}


@dataclass(frozen=True, slots=True)
class Target:
    """A server and one way to run it: `start` makes the command for a port, in a scratch folder."""

    name: str
    way: str
    start: Callable[[int, Path], Command]
    load: Form

    def __str__(self) -> str:
        return f"{self.name} ({self.way})" if self.way else self.name


def ours(model: Path, *, environment: str = "ours", **settings: str) -> Target:
    """`python -m serving` on this model file or folder, with further settings by name."""

    def start(port: int, folder: Path) -> Command:
        env = _environment(environment, folder, HOST="127.0.0.1", PORT=port, MODEL_PATH=model, **settings)
        return Command((str(interpreter(environment)), "-m", "serving"), env, ROOT)

    way = ", ".join(f"{name}={value}" for name, value in settings.items())
    return Target("ours", way, start, json_form("/predict", "instances", _predictions))


def bare() -> Target:
    """Our connections without a model: what a request costs here before anything is done for it."""

    def start(port: int, folder: Path) -> Command:
        argv = (str(interpreter("ours")), "-m", "benchmarks.serving.peers.bare", str(port))
        return Command(argv, _environment("ours", folder), ROOT)

    def load(batches: Sequence[Array], _: Sequence[Array]) -> Load:
        answers = [np.zeros((1, 1), np.float32)] * len(batches)  # as bare.py has it
        return json_form("/predict", "instances", _predictions)(batches, answers)

    return Target("bare connections", "", start, load)


def peers(made: Made) -> dict[str, list[Target]]:
    """Every peer's ways to serve this model, by name; the bench takes the best."""
    litserve = ((1, 1, False), (2, 1, False), (2, 1, True), (1, 8, True), (2, 8, True))
    return {
        "classic Flask app": [_classic(made)],
        "BentoML": [_bentoml(made, *way) for way in product((1, 2), (False, True))],
        "LitServe": [_litserve(made, *way) for way in litserve],
        "MLflow": [_mlflow(made, "flavour", workers) for workers in (1, 2)],
        "MLflow with user code": [_mlflow(made, "signature", workers) for workers in (1, 2)],
    }


def _classic(made: Made) -> Target:
    def start(port: int, folder: Path) -> Command:
        return _program("classic", "classic_app.py", folder, MODEL=made.keras, PORT=port)

    return Target("classic Flask app", "", start, json_form("/predict", "data", _predictions))


def _bentoml(made: Made, workers: int, batchable: bool) -> Target:
    def start(port: int, folder: Path) -> Command:
        where = ("--host", "127.0.0.1", "--port", str(port))
        argv = (_beside("bentoml", "bentoml"), "serve", "bentoml_service:Served", *where)
        chosen = {"WORKERS": workers, "BATCHABLE": int(batchable), "BENTOML_HOME": folder / "bentoml"}
        return Command(argv, _environment("bentoml", folder, MODEL=made.saved_model, **chosen), PEERS)

    way = f"workers={workers}, batchable={batchable}"
    return Target("BentoML", way, start, json_form("/predict", "rows", _document))


def _litserve(made: Made, workers: int, batch: int, fast_queue: bool) -> Target:
    def start(port: int, folder: Path) -> Command:
        chosen = {"WORKERS": workers, "BATCH": batch, "FAST_QUEUE": int(fast_queue)}
        return _program("litserve", "litserve_server.py", folder, MODEL=made.saved_model, PORT=port, **chosen)

    way = f"workers_per_device={workers}, max_batch_size={batch}, fast_queue={fast_queue}"
    return Target("LitServe", way, start, json_form("/predict", "rows", _predictions))


def _mlflow(made: Made, kind: str, workers: int) -> Target:
    """`kind` is "flavour" or "signature", see peers/mlflow_model.py."""

    def start(port: int, folder: Path) -> Command:
        model = folder / f"mlflow-{kind}"
        if not model.exists():
            _write_mlflow_model(made, kind, model)
        argv = (
            _beside("mlflow", "mlflow"), "models", "serve", "--env-manager", "local",
            "--model-uri", str(model), "--workers", str(workers), "--host", "127.0.0.1", "--port", str(port),
        )  # fmt: skip
        return Command(argv, _environment("mlflow", folder), folder)

    name = "MLflow" if kind == "flavour" else "MLflow with user code"
    return Target(name, f"workers={workers}", start, json_form("/invocations", "inputs", _predictions))


def _write_mlflow_model(made: Made, kind: str, output: Path) -> None:
    command = _program("mlflow", "mlflow_model.py", output.parent)
    argv = (*command.argv, str(made.folder), kind, str(output))
    done = subprocess.run(
        argv, env=command.env, cwd=command.folder, capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode:
        raise SystemExit(f"MLflow's model cannot be written:\n{done.stderr[-3000:]}")


def _program(environment: str, program: str, folder: Path, **env: Any) -> Command:
    argv = (str(interpreter(environment)), str(PEERS / program))
    return Command(argv, _environment(environment, folder, **env), folder)


def _beside(environment: str, program: str) -> str:
    return str(interpreter(environment).with_name(program))


def _environment(name: str, folder: Path, **env: Any) -> dict[str, str]:
    """As after activating the virtual environment, with a home of its own for what a server writes.

    Bytecode is kept, as in an image, whatever the caller's Python is told.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    programs = f"{interpreter(name).parent}:{os.environ.get('PATH', os.defpath)}"
    own = {"PATH": programs, "HOME": folder, "TMPDIR": folder}
    return {**kept, **QUIET, **{key: str(value) for key, value in {**own, **env}.items()}}


def _predictions(reply: Reply) -> Any:
    return orjson.loads(reply.body)["predictions"]


def _document(reply: Reply) -> Any:
    return orjson.loads(reply.body)
