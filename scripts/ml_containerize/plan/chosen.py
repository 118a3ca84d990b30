"""The model to serve: found, recognised, and allowed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ml_containerize.errors import PlanError
from ml_containerize.plan.model.candidates import find_model
from ml_containerize.plan.model.formats import detect_format
from ml_containerize.plan.model.model import Format
from ml_containerize.plan.model.runtimes import runtime_of
from ml_containerize.plan.settings.settings import Settings


class PickleNotAllowed(PlanError):
    """The model is a pickle, and nobody said that this is acceptable."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} is a pickle: loading a pickle runs whatever code it holds",
            "Save the model with skops, as ONNX or in the library's own format. If you trust whoever made "
            "this file as you trust your own code, set `allow-pickle: true`.",
        )


@dataclass(frozen=True, slots=True)
class Chosen:
    """A model's file or folder, its format, and the runtime that serves it."""

    root: Path
    format: Format
    runtime: str


def choose_model(settings: Settings) -> Chosen:
    """Raises what `find_model` and `detect_format` raise, PickleNotAllowed and BackendNotKeras."""
    root = find_model(settings.model, settings.project, settings.output)
    format_ = detect_format(root)
    if format_ == "pickle" and not settings.allow_pickle:
        raise PickleNotAllowed(root)
    return Chosen(root, format_, runtime_of(format_, settings.backend))
