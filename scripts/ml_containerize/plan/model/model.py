"""The files to serve: what format they have, where they lie, and what they hash to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from ml_containerize.names import Digest, ModelHash

Format = Literal[
    "keras",
    "h5",
    "saved_model",
    "onnx",
    "skops",
    "pickle",
    "xgboost",
    "lightgbm",
    "torchscript",
    "torch_export",
    "python",
]

MODEL_FOLDER = PurePosixPath("opt/ml/model")  # inside the image, SageMaker's convention
OWN_LAYER_SIZE = 64 * 2**20  # bytes; a file of this size or more gets a layer of its own


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """What `stat` says of a file; a difference means that it changed since."""

    device: int
    inode: int
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of the model: `path` inside the model, `source` on disk, size in bytes."""

    path: PurePosixPath
    source: Path
    size: int
    sha256: Digest
    layer: Digest | None  # digest of its one-file layer, for files of OWN_LAYER_SIZE or more
    identity: FileIdentity

    @property
    def image_path(self) -> PurePosixPath:
        return MODEL_FOLDER / self.path


@dataclass(frozen=True, slots=True)
class Model:
    """The model's files, sorted by path; `root` is the file or the folder that was named."""

    root: Path
    format: Format
    files: tuple[ModelFile, ...]
    hash: ModelHash

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)
