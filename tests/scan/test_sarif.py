from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ml_containerize.plan.decide import Plan
from ml_containerize.plan.model.model import Model
from ml_containerize.results import Finding, Json
from ml_containerize.scan.sarif import MOST_RESULTS, sarif_log, write_sarif

MakeModel = Callable[..., Model]
MakePlan = Callable[..., Plan]

SCHEMA = json.loads((Path(__file__).parent / "sarif.schema.json").read_text())
GRAVE = frozenset({"CRITICAL", "HIGH"})
FLASK = Finding(
    "CVE-2023-30861",
    "Flask",
    "2.2.0",
    "2.2.5",
    "HIGH",
    title="session cookie",
    url="https://avd.aquasec.com/nvd/cve-2023-30861",
    target="Python",
    path="opt/venv/lib/python3.12/site-packages/Flask-2.2.0.dist-info/METADATA",
    purl="pkg:pypi/flask@2.2.0",
)
ZLIB = Finding("CVE-2023-45853", "zlib1g", "1:1.2.13", "", "MEDIUM", target="digits (debian 12.5)")
PICKLE = Finding(
    "MLC-PICKLE", "model.pkl", "", "", "CRITICAL", title="loading it runs os.system", kind="model",
    path="opt/ml/model/model.pkl",
)  # fmt: skip


@pytest.fixture
def plan(make_plan: MakePlan, make_model: MakeModel, tmp_path: Path) -> Plan:
    """A project `digits` in a repository, with a lock and a config file."""
    (tmp_path / ".git").mkdir()
    made = make_plan(make_model("pickle", {"model.pkl": b"x"}))
    project = made.settings.project
    (project / "lock").write_text("numpy==2.4.5 \\\n    --hash=sha256:0\nflask[async]==2.2.0 \\\n")
    (project / "ml-containerize.yaml").write_text("name: digits\nbase-image: python:3.12-slim\n")
    return make_plan(made.model)


def results(log: Json) -> list[Json]:
    (run,) = log["runs"]
    found: list[Json] = run["results"]
    return found


def place(result: Json) -> tuple[str, int]:
    where = result["locations"][0]["physicalLocation"]
    return where["artifactLocation"]["uri"], where["region"]["startLine"]


def accepted_by_github(log: Json) -> bool:
    """What GitHub's documentation calls required, and its limits; the empty text counts as absent."""
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    identifiers = [rule["id"] for rule in rules]
    for rule in rules:
        texts = [rule[key]["text"] for key in ("shortDescription", "fullDescription", "help")]
        assert all(0 < len(text) <= 1024 for text in (rule["id"], *texts))
        assert len(rule["name"]) <= 255
        assert len(rule["properties"]["tags"]) <= 10
        assert 0 < float(rule["properties"].get("security-severity", "1")) <= 10
    for result in run["results"]:
        assert identifiers[result["ruleIndex"]] == result["ruleId"]
        assert result["message"]["text"]
        (location,) = result["locations"]
        where = location["physicalLocation"]
        assert where["artifactLocation"]["uri"]
        assert not where["artifactLocation"]["uri"].startswith(("/", "../"))
        assert set(where["region"]) == {"startLine", "startColumn", "endLine", "endColumn"}
        assert result["partialFingerprints"]["primaryLocationLineHash"]
    assert len(set(identifiers)) == len(identifiers) <= 25_000
    assert len(run["results"]) <= 5_000
    jsonschema.Draft7Validator(SCHEMA, format_checker=jsonschema.FormatChecker()).validate(log)
    return True


def test_it_is_what_the_standard_and_github_ask_for(plan: Plan) -> None:
    assert accepted_by_github(sarif_log(plan, [PICKLE, FLASK, ZLIB], GRAVE, "trivy 0.74.0"))


def test_no_findings_are_a_log_too_so_that_alerts_close(plan: Plan) -> None:
    log = sarif_log(plan, [], GRAVE, "trivy 0.74.0")
    assert accepted_by_github(log)
    assert results(log) == []


def test_each_model_is_a_category_of_its_own(plan: Plan) -> None:
    (run,) = sarif_log(plan, [], GRAVE, "trivy 0.74.0")["runs"]
    assert run["automationDetails"] == {"id": "ml-containerize/digits/"}
    assert run["tool"]["extensions"] == [{"name": "trivy", "version": "0.74.0"}]


def test_a_package_is_shown_at_its_line_of_the_lock(plan: Plan) -> None:
    (result,) = results(sarif_log(plan, [FLASK], GRAVE, "trivy"))
    assert place(result) == ("digits/lock", 3)
    assert result["message"]["text"] == (
        "Flask 2.2.0 in the image of digits: CVE-2023-30861, session cookie. Fixed in 2.2.5."
    )


def test_a_package_of_the_base_is_shown_where_the_base_is_chosen(plan: Plan) -> None:
    (result,) = results(sarif_log(plan, [ZLIB], GRAVE, "trivy"))
    assert place(result) == ("digits/ml-containerize.yaml", 2)


def test_a_model_is_shown_at_its_own_file(plan: Plan) -> None:
    (result,) = results(sarif_log(plan, [PICKLE], GRAVE, "trivy"))
    assert place(result) == ("model/model.pkl", 1)


def test_what_the_repository_does_not_hold_is_shown_by_its_path_in_the_image(plan: Plan) -> None:
    other = Finding("CVE-1", "Jinja2", "3.0", "", "LOW", path="opt/a b/METADATA", purl="pkg:pypi/jinja2@3.0")
    (result,) = results(sarif_log(plan, [other], GRAVE, "trivy"))
    assert place(result) == ("opt/a%20b/METADATA", 1)


def test_what_refuses_the_image_is_an_error_and_the_rest_is_less(plan: Plan) -> None:
    levels = [result["level"] for result in results(sarif_log(plan, [PICKLE, FLASK, ZLIB], GRAVE, "trivy"))]
    assert levels == ["error", "error", "warning"]
    reported = results(sarif_log(plan, [FLASK], frozenset(), "trivy"))
    assert reported[0]["level"] == "warning"


def test_a_finding_is_known_again_after_an_update_that_did_not_mend_it(plan: Plan) -> None:
    prints = [
        results(sarif_log(plan, [one], GRAVE, "trivy"))[0]["partialFingerprints"]
        for one in (FLASK, replace(FLASK, installed="2.2.1"), replace(FLASK, id="CVE-2"))
    ]
    assert prints[0] == prints[1] != prints[2]


def test_alike_findings_are_told_apart(plan: Plan) -> None:
    alike = results(sarif_log(plan, [FLASK, FLASK], GRAVE, "trivy"))
    assert alike[0]["partialFingerprints"] != alike[1]["partialFingerprints"]


def test_there_are_no_more_results_than_github_takes_and_the_worst_are_kept(
    plan: Plan, tmp_path: Path
) -> None:
    many = [FLASK, *(Finding(f"CVE-{n}", "p" * 50, "1", "2", "LOW", "t" * 3000) for n in range(26_000))]
    log = sarif_log(plan, many, GRAVE, "trivy")
    assert len(results(log)) == MOST_RESULTS
    assert results(log)[0]["ruleId"] == FLASK.id
    assert len(gzip.compress(write_sarif(tmp_path, log).read_bytes())) < 10_000_000


anything = st.text(max_size=20)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(anything, anything, anything, anything, st.sampled_from(["secret", "vulnerability", "model", ""]))
def test_whatever_a_scanner_says_the_log_is_accepted(
    plan: Plan, identifier: str, package: str, title: str, path: str, kind: str
) -> None:
    finding = Finding(
        identifier or "x", package, title, path, "UNKNOWN", title=title, url=path, kind=kind, path=path
    )
    log = sarif_log(plan, [finding, FLASK], GRAVE, "")
    assert accepted_by_github(json.loads(json.dumps(log)))
    unquote(place(results(log)[0])[0])


def test_the_whole_is_json_for_any_reader(plan: Plan, tmp_path: Path) -> None:
    log: Any = json.loads(write_sarif(tmp_path, sarif_log(plan, [FLASK], GRAVE, "trivy")).read_text("ascii"))
    assert log["version"] == "2.1.0"
