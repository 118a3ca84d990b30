"""What the workflows cost beside the work itself: finding changed models, and the action around its stages.

One JSON line a case on stdout, where `other` is the budget; what happens meanwhile on stderr. Exit status 1
where something wrong was found.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.case import Case, arguments, end_in_order, run_cases
from benchmarks.workflow.action import around_the_stages
from benchmarks.workflow.monorepo import find_changed

CASES: dict[str, Callable[[Path], Iterator[Case]]] = {
    "find": find_changed,
    "action": around_the_stages,
}


def main() -> int:
    chosen = arguments(__doc__, CASES).parse_args().only or list(CASES)
    os.environ["LC_ALL"] = "C"
    end_in_order()
    with tempfile.TemporaryDirectory(prefix="bench-workflow-") as folder:
        return run_cases(chosen, CASES, Path(folder))


if __name__ == "__main__":
    sys.exit(main())
