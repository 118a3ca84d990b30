"""What the workflows cost beside the work itself: finding changed models, and the action around its stages.

One JSON line a case on stdout, where `other` is the budget; what happens meanwhile on stderr. Exit status 1
where something wrong was found.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.case import Case
from benchmarks.machine import say
from benchmarks.workflow.action import around_the_stages
from benchmarks.workflow.monorepo import find_changed

CASES: dict[str, Callable[[Path], Iterator[Case]]] = {
    "find": find_changed,
    "action": around_the_stages,
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("only", nargs="*", choices=[*CASES, []], help="cases to run (default: all)")
    chosen = parser.parse_args().only or list(CASES)
    os.environ["LC_ALL"] = "C"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # removes the folder, too
    failing = 0
    with tempfile.TemporaryDirectory(prefix="bench-workflow-") as folder:
        for name in chosen:
            say(f"== {name}")
            for case in CASES[name](Path(folder)):
                print(case.line(), flush=True)
                failing += case.failing
    return 1 if failing else 0


if __name__ == "__main__":
    sys.exit(main())
