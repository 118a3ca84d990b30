"""GNU's OpenMP library, which LightGBM expects of the system although its wheel says that it runs on any.

Slim base images lack it, and no package has it under its own name; but wheels that keep to the rules bring
copies. A link makes one of those the system's. https://github.com/lightgbm-org/LightGBM/issues/7141
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from ml_containerize.build.base import BasePython, library_folders
from ml_containerize.build.tree import Tree
from ml_containerize.build.venv import VENV
from ml_containerize.errors import BuildError
from ml_containerize.oci.layers import Entry

_EXPECTING = frozenset({"lightgbm"})
_NAME = "libgomp.so.1"
_COPY = re.compile(r"\w+\.libs/libgomp-[0-9a-f]+\.so\.1[.0-9]*")  # as auditwheel names it


class NoOpenMP(BuildError):
    """A package needs a library of the system that the base image does not have."""

    def __init__(self, package: str, base: str) -> None:
        super().__init__(
            f"{package} needs {_NAME}, which the base image {base} does not have",
            "Choose a base image that has it (python:3.12 without -slim, or Debian's package libgomp1), or "
            "require scikit-learn, too, whose wheel brings a copy that can be linked.",
        )


def openmp_link(
    tree: Tree, python: BasePython, base: str, packages: Collection[str], installed: Iterable[str]
) -> list[Entry]:
    """The link that the packages need, if they do; `installed` are paths relative to site-packages.

    Raises NoOpenMP where there is neither the library nor a copy of it.
    """
    expecting = sorted(_EXPECTING.intersection(packages))
    folders = library_folders(python.machine)
    if not expecting or any(tree.find(f"{folder}/{_NAME}") for folder in folders):
        return []
    copies = sorted(filter(_COPY.fullmatch, installed))
    if not copies:
        raise NoOpenMP(expecting[0], base)
    system = next(folder for folder in folders if tree.find(f"{folder}/libc.so.6"))
    path = f"{tree.resolve(system)}/{_NAME}"
    target = f"/{VENV}/lib/python{python.version}/site-packages/{copies[0]}"
    return [Entry.link(path.lstrip("/"), target)]
