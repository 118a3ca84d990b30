"""One comparison as one JSON line, and running many of them."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from benchmarks.machine import say

Stand = TypeVar("Stand")

MORE_IS_BETTER = frozenset({"req/s", "images/s"})


@dataclass(frozen=True, slots=True)
class Case:
    """`ratio` says how many times better ours is; `more` joins the line; a wrong answer fails the bench."""

    case: str
    ours: float
    other: float
    unit: str
    what: str
    more: Mapping[str, Any] = field(default_factory=dict)
    failing: int = 0

    @property
    def ratio(self) -> float | None:
        better, worse = (self.ours, self.other) if self.unit in MORE_IS_BETTER else (self.other, self.ours)
        return better / worse if worse else None

    def line(self) -> str:
        ratio = self.ratio
        return json.dumps(
            {
                "case": self.case,
                "ours": _short(self.ours),
                "other": _short(self.other),
                "unit": self.unit,
                "ratio": None if ratio is None else _short(ratio),
                "what": self.what,
                **{key: _short(value) for key, value in self.more.items()},
                "failing": self.failing,
            }
        )


def _short(value: Any) -> Any:
    """Floats with three digits after the point, as many more as small ones need."""
    return (
        float(f"{value:.4g}")
        if isinstance(value, float) and abs(value) < 1000
        else (round(value, 1) if isinstance(value, float) else value)
    )


def arguments(
    about: str | None, cases: Mapping[str, object], default: str = "all"
) -> argparse.ArgumentParser:
    """The arguments of every bench: which of its cases to run, in `only`."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    text = f"cases to run (default: {default})"
    parser.add_argument("only", nargs="*", choices=[*cases, []], help=text)
    return parser


def end_in_order() -> None:
    """Let SIGTERM unwind, so that servers end and folders go."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def run_cases(
    names: Iterable[str], cases: Mapping[str, Callable[[Stand], Iterable[Case]]], stand: Stand
) -> int:
    """Print each comparison as it is made; exit status 1 where an answer was wrong."""
    failing = 0
    for name in names:
        say(f"== {name}")
        for case in cases[name](stand):
            failing += case.failing
            print(case.line(), flush=True)
    return 1 if failing else 0
