"""Model formats, one module each behind one small interface: `load(path)` gives a Model.

A format's own packages are imported only when a model of that format is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol

from serving.errors import ModelUnusable, one_line
from serving.runtimes.recognise import FORMATS, Format
from serving.signature import Signature
from serving.tensors import Tensor

DEFAULT_SIGNATURE = "serving_default"  # TensorFlow's name for it, which every format uses here


class Model(Protocol):
    """A loaded model; `predict` may be called from several threads at once."""

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """By name, the one that is served by default first; most formats have only DEFAULT_SIGNATURE."""
        ...

    @property
    def device(self) -> str:
        """What computes: "cpu", or the GPU's name."""
        ...

    def predict(self, batch: Mapping[str, Tensor], signature: str = "") -> dict[str, Tensor]:
        """One array per output name for one array per input name; the first dimension counts rows.

        `signature` is a name in `signatures`, "" the default. May raise whatever the framework raises.
        """
        ...


def default_signature(model: Model) -> Signature:
    """The signature that is served to whoever names none."""
    return next(iter(model.signatures.values()))


@dataclass(frozen=True, slots=True)
class Found:
    """A model on disk: its format and the file or folder to load."""

    format: Format
    path: Path


def find(path: Path, wanted: str = "") -> Found:
    """The one model at `path`, of the `wanted` format where one is named; raises ModelUnusable.

    A folder that is a model as a whole is that one, whatever files lie in it.
    """
    if not path.exists():
        raise ModelUnusable(f"no model at {path}")
    known = {each.name: each for each in FORMATS}
    if wanted and wanted not in known:
        raise ModelUnusable(f"unknown model format {wanted!r}, known are {', '.join(known)}")
    formats = [known[wanted]] if wanted else FORMATS
    try:
        found = [Found(each, candidate) for each in formats for candidate in each.candidates(path)]
    except OSError as error:
        raise ModelUnusable(f"{path} cannot be read: {error.strerror}") from error
    found = [each for each in found if each.path == path] or found
    if len(found) != 1:
        what = "several models" if found else f"no model of {'this' if wanted else 'a known'} format"
        names = ", ".join(each.path.name for each in found) or ", ".join(each.name for each in formats)
        raise ModelUnusable(f"{what} in {path} ({names})")
    return found[0]


def load(found: Found, signature: str = "") -> Model:
    """Load with the format's own module; raises ModelUnusable in one line whatever the framework raised.

    `signature` names the one that is served by default, in formats whose models have several.
    """
    if signature and not found.format.has_signatures:
        raise ModelUnusable(f"{found.format.name} models have no signatures to choose {signature!r} from")
    chosen = {"default": signature} if signature else {}
    try:
        model: Model = import_module(found.format.module).load(found.path, **chosen)
    except ModelUnusable:
        raise
    except Exception as error:
        what = f"{found.path.name} cannot be loaded as {found.format.name}"
        raise ModelUnusable(f"{what}: {one_line(error)}") from error
    return model
