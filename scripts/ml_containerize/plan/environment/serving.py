"""The model server's code, as it goes into every image."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ml_containerize.errors import EnvironmentMissing
from ml_containerize.names import Digest

_LEFT_OUT = {"requirements", "__pycache__"}
_PACKAGE = Path(__file__).parents[2]


class ServingMissing(EnvironmentMissing):
    """The installation lacks the model server's code."""

    def __init__(self) -> None:
        super().__init__(
            f"The serving package is neither inside {_PACKAGE} nor beside its source",
            "Install ml-containerize again.",
        )


def serving_folder() -> Path:
    """`_serving` inside an installed wheel, `serving` in a checkout. Raises ServingMissing."""
    for folder in (_PACKAGE / "_serving", _PACKAGE.parents[1] / "serving"):
        if (folder / "__init__.py").is_file():
            return folder
    raise ServingMissing


def serving_files(folder: Path) -> tuple[Path, ...]:
    """The files that go into an image, relative to the folder and sorted."""
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return tuple(sorted(path for path in files if not any(map(_is_left_out, path.parts))))


def _is_left_out(part: str) -> bool:
    return part in _LEFT_OUT or part.startswith(".") or part.endswith(".pyc")


def serving_hash(folder: Path) -> str:
    """SHA-256 over the files' names and contents."""
    total = hashlib.sha256()
    for path in serving_files(folder):
        digest = Digest.of((folder / path).read_bytes())
        total.update(f"{digest.hex}  {path.as_posix()}\n".encode())
    return total.hexdigest()
