"""Which format a model has, and whether its files are whole; nothing of it is loaded or run."""

from __future__ import annotations

import json
import struct
import zipfile
from pathlib import Path
from typing import BinaryIO

from ml_containerize.errors import PlanError
from ml_containerize.plan.lfs import POINTER_LIMIT, refuse_pointer
from ml_containerize.plan.model import Format

SERVED = "a Keras .keras or .h5 file, or a SavedModel folder"
FOREIGN = {
    ".ckpt": "a checkpoint",
    ".joblib": "a pickle",
    ".onnx": "ONNX",
    ".pickle": "a pickle",
    ".pkl": "a pickle",
    ".pt": "PyTorch",
    ".pth": "PyTorch",
    ".safetensors": "safetensors",
    ".tflite": "TensorFlow Lite",
}
_KERAS_PARTS = ("config.json", "metadata.json", "model.weights.h5")
_HDF5 = b"\x89HDF\r\n\x1a\n"


class UnknownFormat(PlanError):
    """What should be the model has a format that is not served."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path} is not a model that can be served: {why}", f"Export it as {SERVED}.")


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


def detect_format(path: Path) -> Format:
    """Raises UnknownFormat, CorruptModel, LfsPointer or UnreadableModel."""
    try:
        return _saved_model(path) if path.is_dir() else _file(path)
    except OSError as error:
        raise UnreadableModel(path, error) from error


def _saved_model(folder: Path) -> Format:
    graph = folder / "saved_model.pb"
    if not graph.is_file():
        raise UnknownFormat(folder, _why_no_saved_model(folder))
    with graph.open("rb") as stream:
        head = stream.read(POINTER_LIMIT)
    refuse_pointer(graph, head)
    if not head:
        raise CorruptModel(graph, "it is empty")
    if not (folder / "variables").is_dir():
        raise CorruptModel(folder, "its variables/ folder is missing (left out by .gitignore?)")
    return "saved_model"


def _why_no_saved_model(folder: Path) -> str:
    if not any(folder.iterdir()):
        return "the folder is empty"
    return "a folder is served as a SavedModel, and it has no saved_model.pb"


def _file(path: Path) -> Format:
    with path.open("rb") as stream:
        head = stream.read(POINTER_LIMIT)
        refuse_pointer(path, head)
        if path.name.endswith(".weights.h5"):
            raise UnknownFormat(path, "it holds weights without their model")
        if path.suffix == ".keras":
            _check_keras(path, stream)
            return "keras"
        if path.suffix in {".h5", ".hdf5"}:
            _check_hdf5(path, head, stream.seek(0, 2))
            return "h5"
    raise UnknownFormat(path, f"it is {FOREIGN.get(path.suffix, 'of an unknown format')}")


def _check_keras(path: Path, stream: BinaryIO) -> None:
    """A .keras file is a zip archive of _KERAS_PARTS (keras/src/saving/saving_lib.py)."""
    try:
        with zipfile.ZipFile(stream) as archive:
            missing = set(_KERAS_PARTS) - set(archive.namelist())
            if missing:
                raise CorruptModel(path, f"{', '.join(sorted(missing))} is missing in the archive")
            for name in ("config.json", "metadata.json"):
                json.loads(archive.read(name))
            archive.open("model.weights.h5").close()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError) as error:
        raise CorruptModel(path, f"it cannot be read as a .keras archive ({error})") from error


def _check_hdf5(path: Path, head: bytes, size: int) -> None:
    """HDF5 file format specification 3.0, II.A: the superblock knows where the file ends."""
    if not head.startswith(_HDF5):
        raise CorruptModel(path, "it does not begin as an HDF5 file does")
    end = _hdf5_end(head.ljust(POINTER_LIMIT, b"\0"))
    if size < end:
        raise CorruptModel(path, f"it should have {end} bytes but has {size}; it was cut off")


def _hdf5_end(head: bytes) -> int:
    """The end-of-file address; the addresses begin after a header whose size the version tells."""
    version, width = head[8], head[13] if head[8] < 2 else head[9]
    addresses = {0: 24, 1: 28}.get(version, 12)
    if width != 8:  # every writer of models uses 8 bytes an address
        return 0
    return int(struct.unpack_from("<Q", head, addresses + 2 * width)[0])
