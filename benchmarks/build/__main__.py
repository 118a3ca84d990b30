"""ml-containerize against the do-it-yourself way: `docker build` of a classic Dockerfile, then `docker push`.

Both sides run on this machine, in this run, with the same base, packages and local registry.
One JSON line a case on stdout; what happens meanwhile on stderr.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.build.classic import Classic
from benchmarks.build.ours import Ours
from benchmarks.build.stand import Stand, new_model
from benchmarks.case import Case, arguments, run_cases


def build_and_push(stand: Stand) -> list[Case]:
    """Cold, a changed model, nothing changed: each on a machine without caches."""
    ours, classic = Ours(stand), Classic(stand)
    small, large, changed = (
        new_model(stand.folder / f"{n}.keras", mib, n) for n, mib in ((1, 1), (2, 100), (3, 100))
    )
    cold = ours.fresh(small), classic.fresh(small)
    ours.fresh(large)
    swapped = ours.fresh(changed), classic.fresh(changed)
    again = ours.fresh(changed), classic.fresh(changed)
    what = "docker build (classic Dockerfile, pip) and docker push, no caches"
    return [
        Case("cold", cold[0].seconds, cold[1].seconds, "s", what),
        Case("model-only", swapped[0].seconds, swapped[1].seconds, "s", f"another 100 MiB model; {what}"),
        Case("nothing-changed", again[0].seconds, again[1].seconds, "s", f"the same commit again; {what}"),
        Case(
            "nothing-changed-uploaded",
            again[0].uploaded,
            again[1].uploaded,
            "B",
            "blob bytes received by the registry",
        ),
        Case("image-size", cold[0].size, cold[1].size, "B", "compressed layers, as the manifest lists them"),
        Case("bytes-uploaded", swapped[0].uploaded, swapped[1].uploaded, "B", "another 100 MiB model"),
        Case(
            "bytes-over-model",
            swapped[0].uploaded - changed.stat().st_size,
            swapped[1].uploaded - changed.stat().st_size,
            "B",
            "bytes uploaded beyond the model's own",
        ),
    ]


def peak_memory(stand: Stand) -> list[Case]:
    """A 2 GiB model: the command's largest process against dockerd's growth is no match; its budget is."""
    huge = new_model(stand.folder / "4.keras", 2048, 4)
    ours = Ours(stand).fresh(huge)
    return [Case("peak-memory", ours.peak / 2**20, 250, "MiB", "the budget; largest process, 2 GiB model")]


def hashing(stand: Stand) -> list[Case]:
    """Model hash and layer digest together against `sha256sum` of the same file."""
    huge = new_model(stand.folder / "4.keras", 2048, 4)
    ours, other = Ours(stand).hashing(huge), Classic(stand).hashing(huge)
    return [Case("hashing", ours, other, "s", "sha256sum of the same 2 GiB file")]


CASES: dict[str, Callable[[Stand], list[Case]]] = {
    "build": build_and_push,
    "memory": peak_memory,
    "hashing": hashing,
}


def main() -> int:
    chosen = arguments(__doc__, CASES).parse_args().only or list(CASES)
    os.environ["LC_ALL"] = "C"
    with tempfile.TemporaryDirectory(prefix="bench-build-") as folder, Stand.open(Path(folder)) as stand:
        return run_cases(chosen, CASES, stand)


if __name__ == "__main__":
    sys.exit(main())
