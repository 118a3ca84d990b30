"""A pickled model: whatever its code does, it does when it is loaded."""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Iterable, Iterator

from ml_containerize.plan.model.model import ModelFile
from ml_containerize.scan.compressed import decompressed
from ml_containerize.scan.danger import Danger, unreadable
from ml_containerize.scan.imports import Import, judge
from ml_containerize.scan.pickles import imports_in

_NAMED = 8  # imports that a finding names; beyond that it counts
_IMPORT = "MLC-PICKLE-IMPORT"


def pickle_dangers(file: ModelFile, allowed: bool) -> Iterator[Danger]:
    """The pickle itself, and each import of it that no model needs."""
    try:
        with decompressed(file.source) as stream:
            imports = dict.fromkeys(imports_in(stream))
    except (ValueError, EOFError, lzma.LZMAError, zlib.error) as error:
        yield unreadable(f"its pickle cannot be read: {error}")
        return
    trust = "is trusted by `allow-pickle`" if allowed else "was not allowed"
    what = f"it is a pickle, which runs code when it is loaded, and {trust}; it names {_listed(imports)}"
    yield Danger("MLC-PICKLE", "HIGH" if allowed else "CRITICAL", what)
    yield from unusual(imports)


def unusual(imports: Iterable[Import]) -> Iterator[Danger]:
    """The imports that do more than hold data, and those of packages that are not known."""
    for one in imports:
        match judge(one):
            case "dangerous":
                yield Danger(_IMPORT, "CRITICAL", f"its pickle uses {one}, which can run or open anything")
            case "foreign":
                yield Danger(_IMPORT, "HIGH", f"its pickle uses {one}, which is not known here")


def _listed(imports: Iterable[Import]) -> str:
    names = [str(one) for one in imports]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more if names else "nothing"
