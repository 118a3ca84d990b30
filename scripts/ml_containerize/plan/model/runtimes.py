"""Which packages serve which format, and what the server must be told to load it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ml_containerize.errors import PlanError
from ml_containerize.plan.model.model import Format

SERVER_ONLY = "python"  # the runtime that adds nothing to what the server itself needs
CPU_LABEL = "+cpu"  # of a version that PyTorch publishes on its own index only
CPU_ONLY = (
    "PyTorch publishes its builds for CPUs on an index of its own: name PyTorch's CPU index in "
    "UV_EXTRA_INDEX_URL and set UV_INDEX_STRATEGY=unsafe-best-match (every hash is checked all the same), or "
    "name a folder with the wheel in UV_FIND_LINKS. A `uv.toml` in the project's folder says the same "
    "wherever it is built."
)
BACKENDS = ("tensorflow", "jax", "torch")  # of Keras; the first is the default
_SERVER = "server.in"  # what the server needs whatever it serves
_KERAS: tuple[Format, ...] = ("keras", "h5")
_RUNTIMES: Mapping[Format, str] = {
    "keras": "tensorflow",
    "h5": "tensorflow",
    "saved_model": "tensorflow",
    "onnx": "onnx",
    "skops": "sklearn",
    "pickle": "sklearn",
    "xgboost": "xgboost",
    "lightgbm": "lightgbm",
    "torchscript": "torch",
    "torch_export": "torch",
    "python": SERVER_ONLY,
}


class BackendNotKeras(PlanError):
    """A backend was named for a model that is not Keras's."""

    def __init__(self, backend: str, format_: Format) -> None:
        super().__init__(
            f"`backend: {backend}` chooses what computes a Keras model, and this model is {format_}",
            "Leave `backend` away, or name another model with `model:`.",
        )


def runtime_of(format_: Format, backend: str) -> str:
    """The runtime that serves a format, with one of BACKENDS or "". Raises BackendNotKeras."""
    if backend and format_ not in _KERAS:
        raise BackendNotKeras(backend, format_)
    return _RUNTIMES[format_] if backend in {"", BACKENDS[0]} else f"keras-{backend}"


def server_variables(name: str, format_: Format, backend: str, allow_pickle: bool) -> dict[str, str]:
    """The environment variables that say how the server loads a model."""
    variables = {"MODEL_NAME": name, "MODEL_FORMAT": format_}
    if backend not in {"", BACKENDS[0]}:
        variables["KERAS_BACKEND"] = backend
    if format_ == "pickle" and allow_pickle:
        variables["ALLOW_PICKLE"] = "true"
    return variables


def runtime_requirements(serving: Path, runtime: str) -> tuple[Path, ...]:
    """What the server needs with this runtime, as people write it."""
    folder = serving / "requirements"
    return folder / _SERVER, folder / f"{runtime}.in"


def runtime_lock(serving: Path, runtime: str) -> Path:
    """The lock that serves a project which has no requirements of its own."""
    return serving / "requirements" / f"{runtime}.lock"
