"""One comparison as one JSON line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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
