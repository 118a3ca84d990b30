from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "monitoring"


@pytest.fixture(scope="session")
def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((MONITORING / "grafana-dashboard.json").read_text())
    return found


@pytest.fixture(scope="session")
def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((MONITORING / "prometheus-rules.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def expressions(dashboard: dict[str, Any]) -> Iterator[str]:
    """The query of every panel, with values in place of the variables."""
    values = {"$job": ".*", "$instance": ".*", "$__rate_interval": "1m"}
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            expression = target["expr"]
            for name, value in values.items():
                expression = expression.replace(name, value)
            yield expression


def metrics_of(expression: str) -> set[str]:
    """Names of metrics in a PromQL expression; no other word of it looks like these."""
    return set(re.findall(r"\b(?:mlc_\w+|process_\w+|up)\b", re.sub(r'"[^"]*"', "", expression)))
