"""What the model file would do when loaded: code and file access that vulnerability scanners do not look for.

Keras describes a model's layers in JSON: in `config.json` of a `.keras` archive, or in an attribute of a
`.h5` file. Loading imports what it names, and a Lambda layer carries Python code. A SavedModel is a program
for TensorFlow whose operations can read and write files. The other formats have modules of their own. All
read the descriptions and never load the model. They know the forms that public advisories describe; finding
none does not make a stranger's model harmless.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from ml_containerize.plan.model.archives import UNREADABLE
from ml_containerize.plan.model.model import Format, Model, ModelFile
from ml_containerize.results import Finding
from ml_containerize.scan.danger import Danger, unreadable
from ml_containerize.scan.model_config import dangers_in, parse_config
from ml_containerize.scan.model_onnx import onnx_dangers
from ml_containerize.scan.model_pickle import pickle_dangers
from ml_containerize.scan.model_skops import skops_dangers
from ml_containerize.scan.model_torch import torch_dangers
from ml_containerize.scan.search import occurrences, texts_around

_LARGEST_CONFIG = 64 * 2**20  # bytes; the largest models' are a few MiB
_CLASS = b'"class_name"'
_FILE_OPERATIONS = ("ReadFile", "WriteFile")

_FILE_ACCESS = "MLC-TF-FILE"


@dataclass(frozen=True, slots=True)
class ModelReport:
    """What the model's own files may do, and what a reader should know of their format."""

    findings: tuple[Finding, ...]
    notices: tuple[str, ...] = ()


def check_model(model: Model, allow_pickle: bool = False) -> ModelReport:
    """Look into the model's files without loading them; `allow_pickle`: the user trusts a pickle."""
    checks: dict[Format, Callable[[ModelFile], Iterator[Danger]]] = {
        "keras": _keras,
        "h5": _h5,
        "saved_model": _saved_model,
        "onnx": onnx_dangers,
        "skops": skops_dangers,
        "pickle": partial(pickle_dangers, allowed=allow_pickle),
        "xgboost": _nothing_to_find,
        "lightgbm": _nothing_to_find,
        "torchscript": torch_dangers,
        "torch_export": torch_dangers,
        "python": _nothing_to_find,
    }
    check = checks[model.format]
    found = [_finding(file, danger) for file in model.files for danger in _dangers(file, check)]
    return ModelReport(tuple(found), tuple(_notices(model)))


def _dangers(file: ModelFile, check: Callable[[ModelFile], Iterator[Danger]]) -> list[Danger]:
    """Each danger once; a file that cannot be read is one, too."""
    try:
        return list(dict.fromkeys(check(file)))
    except OSError as error:
        return [unreadable(f"it cannot be read: {error}")]


def _nothing_to_find(_: ModelFile) -> Iterator[Danger]:
    """Trees are numbers; and of a predictor, which is a program as a whole, a notice tells."""
    return iter(())


def _notices(model: Model) -> Iterator[str]:
    if model.format == "python":
        yield (
            "predictor.py is the team's own code, and was not looked into; it and what lies beside it were "
            "scanned as any other file"
        )
    if model.format == "h5":
        yield (
            f"{model.files[0].path} is HDF5, a format older than Keras's safe mode: Keras before 3.11.3 runs "
            "code from it unasked; `model.save('model.keras')` writes the newer format"
        )


def _keras(file: ModelFile) -> Iterator[Danger]:
    try:
        with zipfile.ZipFile(file.source) as archive, archive.open("config.json") as config:
            body = config.read(_LARGEST_CONFIG + 1)
        if len(body) > _LARGEST_CONFIG:
            raise ValueError("config.json is too large")
        yield from dangers_in(parse_config(body))
    except (*UNREADABLE, KeyError) as error:
        yield unreadable(f"its config.json cannot be read: {error}")


def _h5(file: ModelFile) -> Iterator[Danger]:
    """Walk every JSON text that names a class: HDF5 keeps an attribute's text in one piece, uncompressed."""
    with file.source.open("rb") as stream:
        for text in texts_around((_CLASS, b"\\u00"), stream, _LARGEST_CONFIG):
            try:
                yield from dangers_in(parse_config(text[text.find(b"{") :]))
            except ValueError as error:
                if _CLASS in text:
                    yield unreadable(f"its model_config cannot be read: {error}")


def _saved_model(file: ModelFile) -> Iterator[Danger]:
    """Look for operations by their field in the graph: `op` is field 2 of NodeDef (node_def.proto)."""
    if file.path.suffix != ".pb":
        return
    fields = {bytes((0x12, len(name))) + name.encode(): name for name in _FILE_OPERATIONS}
    with file.source.open("rb") as stream:
        for _, field in occurrences(tuple(fields), stream):
            yield Danger(_FILE_ACCESS, "HIGH", f"its graph has the operation {fields[field]}")


def _finding(file: ModelFile, danger: Danger) -> Finding:
    path = str(file.image_path)
    return Finding(
        id=danger.id,
        package=str(file.path),
        installed="",
        fixed="",
        severity=danger.severity,
        title=danger.what,
        target=path,
        kind="model",
        path=path,
    )
