from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from doubles.trivy_double import FakeTrivy

from ml_containerize.console import Console
from ml_containerize.names import Repository
from ml_containerize.oci.descriptor import Descriptor
from ml_containerize.oci.image import Image
from ml_containerize.plan.decide import Plan
from ml_containerize.plan.model.model import OWN_LAYER_SIZE, Model
from ml_containerize.results import Outcome, ScanReport
from ml_containerize.scan.analysis import ScanTimedOut, TrivyFailed
from ml_containerize.scan.check import scan
from ml_containerize.scan.database import DatabaseUnreachable, NoDatabase
from ml_containerize.scan.ignore import MalformedIgnoreFile

MakeImage = Callable[..., Image]
MakeModel = Callable[..., Model]
MakePlan = Callable[..., Plan]
MakeDatabase = Callable[..., Path]

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
FRESH = ("2026-11-21T06:00:00Z", "2026-11-22T06:00:00Z")
LAYER = {"opt/app/x": "x"}


@pytest.fixture
def image(make_image: MakeImage) -> Image:
    return make_image(LAYER, {"opt/app/y": "y"})


def vulnerability(**changes: Any) -> dict[str, Any]:
    usual = {
        "VulnerabilityID": "CVE-2023-30861",
        "PkgName": "Flask",
        "InstalledVersion": "2.2.0",
        "FixedVersion": "2.2.5, 2.3.2",
        "Severity": "HIGH",
        "Title": "session cookie",
    }
    return {**usual, **changes}


def report_on(image: Image, *found: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    packages = [{"Name": "Flask"}]
    return {
        "SchemaVersion": 2,
        "ArtifactName": str(image.content.layout.path),
        "Metadata": {"ImageID": str(image.manifest.config.digest), **metadata},
        "Results": [{"Target": "Python", "Packages": packages, "Vulnerabilities": list(found)}],
    }


def trivy(folder: Path) -> dict[str, str]:
    """A PATH with a program that says that it is trivy, and does nothing else."""
    folder.mkdir(exist_ok=True)
    program = folder / "trivy"
    program.write_text("github.com/aquasecurity/trivy/pkg/version/app.ver=0.74.0\n")
    program.chmod(0o755)
    return {"PATH": str(folder)}


def check(plan: Plan, image: Image, run: FakeTrivy, **environ: str) -> ScanReport:
    path = trivy(plan.settings.output.parent / "bin")
    console = Console(stream=io.StringIO())
    return scan(plan, image, run=run, console=console, environ=path | environ, now=lambda: NOW)


def test_an_image_without_findings_passes(
    image: Image, make_plan: MakePlan, make_database: MakeDatabase
) -> None:
    make_database(*FRESH)
    report = check(make_plan(), image, FakeTrivy(report_on(image)))
    assert report.outcome is Outcome.PASSED
    assert report.digest == image.digest
    assert report.scanner == "trivy 0.74.0"
    assert report.database_updated == "2026-11-21T06:00:00Z"
    assert report.notices == ()
    assert set(report.counts.values()) == {0}


def test_an_image_with_a_grave_vulnerability_is_refused_with_the_reason(
    image: Image, make_plan: MakePlan, make_database: MakeDatabase
) -> None:
    make_database(*FRESH)
    report = check(make_plan(), image, FakeTrivy(report_on(image, vulnerability())))
    assert report.outcome is Outcome.FAILED
    assert report.problems == ("CVE-2023-30861 (HIGH) in Flask 2.2.0, fixed in 2.2.5, 2.3.2: session cookie",)
    assert report.counts["HIGH"] == 1


def test_many_refused_findings_are_counted_after_the_first_few(
    image: Image, make_plan: MakePlan, make_database: MakeDatabase
) -> None:
    make_database(*FRESH)
    found = [vulnerability(VulnerabilityID=f"CVE-{number}") for number in range(8)]
    report = check(make_plan(), image, FakeTrivy(report_on(image, *found)))
    assert len(report.refused) == 8
    assert report.problems[5:] == ("3 more findings are refused",)


def test_exit_code_0_reports_without_refusing(
    image: Image, make_plan: MakePlan, make_database: MakeDatabase
) -> None:
    make_database(*FRESH)
    report = check(make_plan(exit_code="0"), image, FakeTrivy(report_on(image, vulnerability())))
    assert report.outcome is Outcome.PASSED
    assert len(report.refused) == 1
    assert report.problems == ()
    assert report.notices == ("`exit-code: 0`: 1 findings that refuse the image were only reported",)


def test_an_ignore_file_lets_a_finding_pass(
    tmp_path: Path, image: Image, make_plan: MakePlan, make_database: MakeDatabase
) -> None:
    make_database(*FRESH)
    rules = tmp_path / "accepted.txt"
    rules.write_text("CVE-2023-30861\n")
    report = check(make_plan(trivyignores=str(rules)), image, FakeTrivy(report_on(image, vulnerability())))
    assert report.outcome is Outcome.PASSED
    assert [finding.ignored_by for finding in report.ignored] == ["accepted.txt:1"]


def test_a_wrong_ignore_file_is_told_before_anything_starts(
    tmp_path: Path, image: Image, make_plan: MakePlan
) -> None:
    rules = tmp_path / "rules"
    rules.write_text("CVE-1 exp:never\n")
    run = FakeTrivy()
    with pytest.raises(MalformedIgnoreFile):
        check(make_plan(trivyignores=str(rules)), image, run)
    assert run.starts == []


def test_a_scan_that_is_switched_off_is_skipped_and_says_so(image: Image, make_plan: MakePlan) -> None:
    run = FakeTrivy()
    report = check(make_plan(scan="false"), image, run)
    assert report.outcome is Outcome.SKIPPED
    assert report.notices == ("the scan was switched off: `scan: false`",)
    assert run.starts == []


def test_the_model_is_judged_together_with_the_image(
    image: Image, make_plan: MakePlan, make_model: MakeModel, make_database: MakeDatabase
) -> None:
    make_database(*FRESH)
    report = check(make_plan(make_model("keras", {"m.keras": b"no zip"})), image, FakeTrivy(report_on(image)))
    assert report.outcome is Outcome.FAILED
    assert [finding.id for finding in report.refused] == ["MLC-MODEL-UNREADABLE"]


def test_the_database_is_fetched_before_the_scan(
    image: Image, make_plan: MakePlan, make_database: MakeDatabase
) -> None:
    run = FakeTrivy(report_on(image), update=lambda: make_database(*FRESH) and "")
    check(make_plan(db_repository="mirror.example/db:2"), image, run)
    assert [start.is_update for start in run.starts] == [True, False]
    assert "--db-repository=mirror.example/db:2" in run.starts[0].argv


def test_nothing_is_scanned_without_a_database(image: Image, make_plan: MakePlan) -> None:
    run = FakeTrivy(report_on(image), update=lambda: "no such host")
    with pytest.raises(DatabaseUnreachable):
        check(make_plan(), image, run)
    with pytest.raises(NoDatabase):
        check(make_plan(skip_db_update="true"), image, run)
    assert run.scans == []


def test_secrets_alone_need_no_database(image: Image, make_plan: MakePlan) -> None:
    run = FakeTrivy(report_on(image))
    report = check(make_plan(scanners="secret"), image, run)
    assert report.database_updated == ""
    assert [start.is_update for start in run.starts] == [False]


def test_what_a_reader_should_know_is_in_the_notices(
    image: Image, make_plan: MakePlan, make_database: MakeDatabase
) -> None:
    make_database("2026-11-01T06:00:00Z", "2026-11-02T06:00:00Z")
    plan = make_plan(skip_db_update="true")
    (plan.settings.project / ".trivyignore").write_text("CVE-1\n")
    report = report_on(image, OS={"Family": "debian", "Name": "10", "EOSL": True})
    report["Results"] = []
    notices = check(plan, image, FakeTrivy(report), TRIVY_SEVERITY="LOW").notices
    assert "it is of 2026-11-01T06:00:00Z, 20 days old" in notices[0]
    assert notices[1] == "debian 10 gets no security updates any more"
    assert "recognised no packages" in notices[2]
    assert "not read: the project's .trivyignore" in notices[3]
    assert "not read: TRIVY_SEVERITY" in notices[4]


def test_trivys_report_is_kept_without_secrets(
    image: Image, make_plan: MakePlan, make_database: MakeDatabase
) -> None:
    make_database(*FRESH)
    report = report_on(image)
    secret = {"RuleID": "r", "Severity": "LOW", "Title": "t", "Match": "hunter2", "Code": {"Lines": []}}
    report["Results"].append({"Target": "/x", "Secrets": [secret]})
    plan = make_plan()
    check(plan, image, FakeTrivy(report))
    kept = (plan.settings.output / "trivy.json").read_text()
    assert json.loads(kept)["ArtifactName"] == "digits"
    assert "hunter2" not in kept


def test_code_scanning_is_told_what_no_rule_accepts_below_the_refusing_severities_too(
    tmp_path: Path, image: Image, make_plan: MakePlan, make_database: MakeDatabase
) -> None:
    make_database(*FRESH)
    rules = tmp_path / "accepted.txt"
    rules.write_text("CVE-1\n")
    ids = [("CVE-1", "HIGH", "2"), ("CVE-2", "LOW", "2"), ("CVE-3", "MEDIUM", ""), ("CVE-4", "HIGH", "2")]
    found = [vulnerability(VulnerabilityID=i, Severity=s, FixedVersion=f) for i, s, f in ids]
    plan = make_plan(trivyignores=str(rules))
    check(plan, image, FakeTrivy(report_on(image, *found)))
    (run,) = json.loads((plan.settings.output / "scan.sarif").read_text())["runs"]
    assert [(one["ruleId"], one["level"]) for one in run["results"]] == [
        ("CVE-4", "error"),
        ("CVE-2", "note"),
    ]


def test_large_weights_are_not_searched_for_text(
    image: Image, make_plan: MakePlan, make_model: MakeModel, make_database: MakeDatabase
) -> None:
    make_database(*FRESH)
    large = make_model("saved_model", {"variables/data-00000": b"x", "od*d": b"x"}, size=OWN_LAYER_SIZE)
    run = FakeTrivy(report_on(image))
    check(make_plan(large), image, run)
    skipped = [argument for argument in run.scans[0].argv if argument.startswith("--skip-files")]
    assert skipped == ["--skip-files=opt/ml/model/variables/data-00000"]


class Elsewhere:
    """A registry that has the layers that the layout lacks."""

    repository = Repository.parse("registry.example/base")

    def __init__(self, image: Image) -> None:
        self.blobs = {}
        for layer in image.manifest.layers[:1]:
            path = image.content.layout.blob_path(layer.digest)
            self.blobs[layer.digest] = path.read_bytes()
            path.unlink()

    def open(self, descriptor: Descriptor) -> io.BytesIO:
        return io.BytesIO(self.blobs[descriptor.digest])


def without_base(image: Image) -> Image:
    elsewhere = Elsewhere(image)
    content = image.content.with_sources(dict.fromkeys(elsewhere.blobs, elsewhere))
    return Image(image.name, image.descriptor, image.manifest, image.config, content)


def test_layers_that_trivy_knows_are_not_fetched(
    image: Image, make_plan: MakePlan, make_database: MakeDatabase
) -> None:
    make_database(*FRESH)
    image = without_base(image)
    run = FakeTrivy(report_on(image))
    assert check(make_plan(), image, run).outcome is Outcome.PASSED
    assert len(run.scans) == 1
    assert not image.content.has(image.manifest.layers[0].digest)


def test_layers_that_trivy_does_not_know_are_fetched_and_the_scan_is_run_again(
    image: Image, make_plan: MakePlan, make_database: MakeDatabase
) -> None:
    make_database(*FRESH)
    image = without_base(image)
    run = FakeTrivy(report_on(image), failures=["FATAL unable to get uncompressed layer"])
    assert check(make_plan(), image, run).outcome is Outcome.PASSED
    assert len(run.scans) == 2
    assert image.content.has(image.manifest.layers[0].digest)


def test_a_scan_that_fails_with_all_layers_there_is_not_run_again(
    image: Image, make_plan: MakePlan, make_database: MakeDatabase
) -> None:
    make_database(*FRESH)
    run = FakeTrivy(report_on(image), failures=["FATAL broken"])
    with pytest.raises(TrivyFailed):
        check(make_plan(), image, run)
    assert len(run.scans) == 1


def test_a_scan_that_times_out_is_not_run_again(
    image: Image, make_plan: MakePlan, make_database: MakeDatabase
) -> None:
    make_database(*FRESH)
    run = FakeTrivy(failures=["FATAL context deadline exceeded"])
    with pytest.raises(ScanTimedOut):
        check(make_plan(), without_base(image), run)
    assert len(run.scans) == 1
