"""Why a file or folder cannot be the model."""

from __future__ import annotations

from pathlib import Path

from ml_containerize.errors import PlanError

SERVED = (
    "a Keras .keras or .h5 file, a SavedModel folder, ONNX, skops, XGBoost (.ubj, .json), LightGBM (.txt), "
    "TorchScript (.pt), torch.export (.pt2), or a folder with your own predictor.py"
)


class UnknownFormat(PlanError):
    """What should be the model has a format that is not served."""

    def __init__(self, path: Path, why: str, fix: str = f"Export it as {SERVED}.") -> None:
        super().__init__(f"{path} is not a model that can be served: {why}", fix)


class CorruptModel(PlanError):
    """The model's file is damaged or not whole."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path} is damaged: {why}", "Export the model again, and check what was committed.")


class UnreadableModel(PlanError):
    """The model's file or folder cannot be read."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(
            f"{path} cannot be read: {error.strerror or error}",
            "Give the user that runs this the right to read it (chmod, chown).",
        )
