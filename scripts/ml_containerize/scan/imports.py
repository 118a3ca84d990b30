"""What a serialised object may name: data types, the usual libraries' classes, or what can do anything.

A list of what is dangerous is never whole, so of Python's own modules only data types are taken as harmless.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Literal

Kind = Literal["usual", "foreign", "dangerous"]

_BUILTINS = {
    *("bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list", "object"),
    *("range", "set", "slice", "str", "tuple"),
}
_DATA: dict[str, set[str]] = {
    "builtins": _BUILTINS,
    "__builtin__": _BUILTINS | {"long", "unicode", "xrange"},  # Python 2's name
    "_codecs": {"encode"},  # how protocol 2 writes bytes
    "array": {"array", "_array_reconstructor"},
    "collections": {"Counter", "OrderedDict", "defaultdict", "deque"},
    "copy_reg": {"_reconstructor"},
    "copyreg": {"_reconstructor", "__newobj__"},
    "datetime": {"date", "datetime", "time", "timedelta", "timezone"},
    "decimal": {"Decimal"},
    "fractions": {"Fraction"},
    "functools": {"partial"},  # of a function that is named beside it
    "pathlib": {"PosixPath", "PurePosixPath", "PureWindowsPath", "WindowsPath"},
    "types": {"SimpleNamespace"},
    "uuid": {"UUID"},
}
_PYTHON = sys.stdlib_module_names | {"__builtin__", "copy_reg", "commands", "nt", "posix"}
_FAMILIES = frozenset({"joblib", "lightgbm", "numpy", "pandas", "scipy", "sklearn", "xgboost"})
# Parts of these families that run, load or write what they are given.
_RUNNING = (
    *("numpy.testing", "numpy.distutils", "numpy.f2py", "numpy.ctypeslib"),
    *("joblib.externals", "joblib.memory", "joblib.parallel", "joblib.test", "pandas.io"),
)
_RUNNERS = {
    *("__import__", "call", "check_output", "compile", "dump", "eval", "exec", "execfile", "fromfile"),
    *("genfromtxt", "getattr", "import_module", "load", "loads", "loadtxt", "memmap", "open", "popen"),
    *("Popen", "read_pickle", "run", "runstring", "save", "savetxt", "system"),
}


@dataclass(frozen=True, slots=True)
class Import:
    """A name that is looked up in a module when the object is loaded."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"

    @property
    def family(self) -> str:
        """The package."""
        return self.module.partition(".")[0]


HIDDEN = Import("?", "?")  # a name that is put together only while the object is loaded


def judge(one: Import, families: frozenset[str] = _FAMILIES) -> Kind:
    """What a name stands for where the packages `families` are usual."""
    if one.name in _DATA.get(one.module, ()):
        return "usual"
    if one == HIDDEN or one.family in _PYTHON:
        return "dangerous"
    if one.module.startswith(_RUNNING) or _leads_elsewhere(one.name):
        return "dangerous"
    return "usual" if one.family in families else "foreign"


def _leads_elsewhere(name: str) -> bool:
    """A dotted name goes from attribute to attribute, as `os.system` does in any module that imports os."""
    parts = name.split(".")
    return parts[-1] in _RUNNERS or any(part in _PYTHON or part.startswith("__") for part in parts[:-1])
