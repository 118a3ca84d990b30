"""Git LFS pointers: small text files that stand where the model should be."""

from __future__ import annotations

from pathlib import Path

from ml_containerize.errors import PlanError

POINTER_LIMIT = 1024  # bytes; git-lfs's docs/spec.md, "The Pointer"
_FIRST_LINE = b"version https://git-lfs.github.com/spec/"


class LfsPointer(PlanError):
    """A file of the model is a pointer, its content was not fetched."""

    def __init__(self, path: Path | str) -> None:
        super().__init__(
            f"{path} is a Git LFS pointer, not the file itself",
            "Run `git lfs pull` first; in GitHub Actions, give actions/checkout `lfs: true`.",
        )


def refuse_pointer(path: Path | str, content: bytes) -> None:
    """Raises LfsPointer where the beginning of a file says that it is one."""
    if is_pointer(content):
        raise LfsPointer(path)


def is_pointer(content: bytes) -> bool:
    """True for the beginning of a pointer."""
    return content.startswith(_FIRST_LINE)
