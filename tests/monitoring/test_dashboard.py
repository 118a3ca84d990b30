from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest

from tests.monitoring.conftest import expressions, metrics_of

PROMETHEUS = {"type": "prometheus", "uid": "${datasource}"}


def test_it_is_in_the_newest_version_of_the_classic_schema(dashboard: dict[str, Any]) -> None:
    """grafana/grafana, apps/dashboard/pkg/migration/schemaversion/migrations.go: LATEST_VERSION."""
    assert dashboard["schemaVersion"] == 42
    assert dashboard["uid"]
    assert "id" not in dashboard  # a number of the Grafana it is imported into


def test_it_asks_which_data_source_to_use_and_every_query_goes_there(dashboard: dict[str, Any]) -> None:
    datasource, *others = dashboard["templating"]["list"]
    assert (datasource["name"], datasource["type"], datasource["query"]) == (
        "datasource",
        "datasource",
        "prometheus",
    )
    assert all(variable["datasource"] == PROMETHEUS for variable in others)
    for panel in dashboard["panels"]:
        assert panel["datasource"] == PROMETHEUS
        assert all(target["datasource"] == PROMETHEUS for target in panel["targets"])


def test_panels_say_what_they_show_and_do_not_cover_each_other(dashboard: dict[str, Any]) -> None:
    panels = dashboard["panels"]
    assert all(panel["title"] and panel["description"].endswith(".") for panel in panels)
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [panel["gridPos"] for panel in panels]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert beside or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]


@pytest.mark.parametrize(
    "name",
    [
        "mlc_requests_total",
        "mlc_errors_total",
        "mlc_request_seconds_bucket",
        "mlc_batch_rows_sum",
        "mlc_batch_tasks_sum",
        "mlc_queue_seconds_bucket",
        "mlc_queue_tasks",
        "mlc_in_flight",
        "mlc_model_seconds_bucket",
        "mlc_model_ready",
        "mlc_model_info",
        "mlc_model_load_seconds",
        "mlc_log_lines_dropped_total",
        "process_resident_memory_bytes",
        "process_cpu_seconds_total",
    ],
)
def test_every_metric_has_a_panel(dashboard: dict[str, Any], name: str) -> None:
    assert name in set().union(*map(metrics_of, expressions(dashboard)))
