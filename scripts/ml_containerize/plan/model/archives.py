"""Model files that are zip archives, known by their members: Keras, skops, TorchScript, torch.export."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ml_containerize.plan.model.unusable import CorruptModel, UnknownFormat

# what zipfile raises for an archive that is damaged, encrypted, or packed in a way it does not know
UNREADABLE = (zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError)
_KERAS_PARTS = ("config.json", "metadata.json", "model.weights.h5")
_EXPORT = (
    "Export the model as a program: torch.jit.script(model).save('model.pt'), or "
    "torch.export.save(torch.export.export(model, example), 'model.pt2')."
)


def check_keras(path: Path, stream: BinaryIO) -> None:
    """A .keras file is a zip archive of three parts (keras/src/saving/saving_lib.py)."""
    with _archive(path, stream, ".keras") as archive:
        _require(path, archive, _KERAS_PARTS)
        for name in ("config.json", "metadata.json"):
            json.loads(archive.read(name))
        archive.open("model.weights.h5").close()


def check_skops(path: Path, stream: BinaryIO) -> None:
    """A .skops file is a zip archive whose schema.json describes the object (skops/io/_persist.py)."""
    with _archive(path, stream, ".skops") as archive:
        _require(path, archive, ("schema.json",))
        json.loads(archive.read("schema.json"))


def check_torchscript(path: Path, stream: BinaryIO) -> None:
    """Raises UnknownFormat for what `torch.save` writes: only TorchScript's archive has constants.pkl."""
    if stream.read(4) != b"PK\3\4":
        raise UnknownFormat(path, "it is PyTorch's pickle of weights, not a program", _EXPORT)
    with _archive(path, stream, "PyTorch") as archive:
        names = archive.namelist()
    if is_torchscript(names):
        return
    if _is_export(names):
        raise UnknownFormat(path, "it is what torch.export saves", "Rename it, so that it ends in .pt2.")
    if any(name.endswith("/data.pkl") for name in names):
        why = "it is PyTorch's pickle of weights (a state_dict) or of a module, not a program"
        raise UnknownFormat(path, why, _EXPORT)
    raise CorruptModel(path, "data.pkl is missing in the archive")


def check_torch_export(path: Path, stream: BinaryIO) -> None:
    """Raises CorruptModel where the archive holds no exported program."""
    with _archive(path, stream, ".pt2") as archive:
        names = archive.namelist()
    if not _is_export(names):
        raise CorruptModel(path, "the archive holds no program that torch.export saved")


def is_torchscript(names: Iterable[str]) -> bool:
    """PyTorch tells its two kinds of archives apart by this, too (torch/serialization.py)."""
    return any(name.endswith("/constants.pkl") for name in names)


def _is_export(names: Iterable[str]) -> bool:
    """https://docs.pytorch.org/docs/stable/export/pt2_archive.html; before 2.8 one JSON file at the top."""
    return any(
        name == "serialized_exported_program.json"
        or ("models" in name.split("/")[:-1] and name.endswith(".json"))
        for name in names
    )


@contextmanager
def _archive(path: Path, stream: BinaryIO, kind: str) -> Iterator[zipfile.ZipFile]:
    stream.seek(0)
    try:
        with zipfile.ZipFile(stream) as archive:
            yield archive
    except UNREADABLE as error:
        raise CorruptModel(path, f"it cannot be read as a {kind} archive ({error})") from error


def _require(path: Path, archive: zipfile.ZipFile, names: Iterable[str]) -> None:
    missing = set(names) - set(archive.namelist())
    if missing:
        raise CorruptModel(path, f"{', '.join(sorted(missing))} is missing in the archive")
