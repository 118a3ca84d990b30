"""How many threads a framework may compute with."""

from __future__ import annotations

import os


def threads() -> int:
    """OMP_NUM_THREADS, which the server sets to the container's processors; all of them by default.

    The variable may list one number for each level of nesting (OpenMP 5.2, section 21.1.2); the first counts.
    """
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(first) if first.isdigit() and int(first) else os.cpu_count() or 1
