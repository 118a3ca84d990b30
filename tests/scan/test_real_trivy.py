"""The whole stage with the real trivy and the sample database."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from ml_containerize.command import run
from ml_containerize.console import Console
from ml_containerize.oci.image import Image
from ml_containerize.plan.decide import Plan
from ml_containerize.results import Outcome, ScanReport
from ml_containerize.scan.analysis import DamagedDatabase, NoJavaDatabase
from ml_containerize.scan.check import scan
from ml_containerize.scan.database import DatabaseUnreachable, NoDatabase
from ml_containerize.scan.release import OLDEST, stamped_version

pytestmark = pytest.mark.e2e

MakeImage = Callable[..., Image]
MakePlan = Callable[..., Plan]

TRIVY = Path(sys.executable).parent / "trivy"
MAKE_DATABASE = Path(__file__).parents[2] / "examples" / "trivy-db" / "make.py"
PACKAGES = "opt/venv/lib/python3.12/site-packages"
DEBIAN = {"etc/os-release": 'ID=debian\nVERSION_ID="12"\n', "etc/debian_version": "12.5\n"}
TOKEN = "ghp_" + "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8"


def package(name: str, version: str) -> dict[str, str]:
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    return {f"{PACKAGES}/{name}-{version}.dist-info/METADATA": metadata}


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """The cache folder with the sample database in it."""
    folder = tmp_path / "cache" / "trivy" / "db"
    subprocess.run([sys.executable, MAKE_DATABASE, folder], check=True)
    return folder


@pytest.fixture
def closed_plan(make_plan: MakePlan) -> MakePlan:
    """A plan for a network without trivy's database."""
    return lambda *arguments, **options: make_plan(
        *arguments, **{"skip_db_update": "true", "trivy_path": str(TRIVY), **options}
    )


def check(plan: Plan, image: Image, console: Console | None = None, **environ: str) -> ScanReport:
    variables = {"PATH": os.environ["PATH"], **environ}
    return scan(plan, image, run=run, console=console or Console(stream=io.StringIO()), environ=variables)


def test_a_package_of_known_vulnerability_is_refused(
    sample: Path, make_image: MakeImage, closed_plan: MakePlan
) -> None:
    image = make_image(DEBIAN, package("Flask", "2.2.0"), compression="zstd")
    plan = closed_plan()
    report = check(plan, image)
    assert report.outcome is Outcome.FAILED
    assert report.problems[0].startswith("CVE-2023-30861 (HIGH) in Flask 2.2.0, fixed in 2.2.5, 2.3.2")
    assert report.counts == {"CRITICAL": 0, "HIGH": 1, "MEDIUM": 0, "LOW": 0, "UNKNOWN": 0}
    (finding,) = report.refused
    assert finding.purl == "pkg:pypi/flask@2.2.0"
    assert finding.path == f"{PACKAGES}/Flask-2.2.0.dist-info/METADATA"
    assert report.scanner == f"trivy {stamped_version(TRIVY)}"
    assert report.database_updated == "2026-11-21T00:00:00Z"
    assert "sample of" in report.notices[0]
    (run,) = json.loads((plan.settings.output / "scan.sarif").read_text())["runs"]
    assert [one["ruleId"] for one in run["results"]] == ["CVE-2023-30861"]


@pytest.mark.parametrize(
    ("name", "version", "refused"),
    [
        ("flask", "2.2.5", ()),
        ("flask", "2.3.1", ("CVE-2023-30861",)),
        ("gunicorn", "21.2.0", ("CVE-2024-1135", "CVE-2024-6827")),
        ("keras", "3.15.1", ()),
        ("tensorflow_cpu", "2.11.0", ("CVE-2023-25668",)),
        ("protobuf", "6.31.0", ("CVE-2025-4565", "CVE-2026-0994")),
        ("jinja2", "3.1.4", ()),
    ],
)
def test_versions_are_compared_as_their_ecosystem_does(
    sample: Path,
    make_image: MakeImage,
    closed_plan: MakePlan,
    name: str,
    version: str,
    refused: tuple[str, ...],
) -> None:
    report = check(closed_plan(), make_image(DEBIAN, package(name, version)))
    assert tuple(finding.id for finding in report.refused) == refused


def test_the_distributions_own_packages_are_compared(
    sample: Path, make_image: MakeImage, closed_plan: MakePlan
) -> None:
    status = (
        "Package: libc6\nStatus: install ok installed\nSource: glibc\n"
        "Version: 2.36-9+deb12u1\nArchitecture: amd64\n\n"
    )
    report = check(closed_plan(), make_image({**DEBIAN, "var/lib/dpkg/status": status}))
    assert [(finding.id, finding.fixed) for finding in report.refused] == [
        ("CVE-2023-4911", "2.36-9+deb12u3")
    ]


def test_an_image_without_known_vulnerabilities_passes(
    sample: Path, make_image: MakeImage, closed_plan: MakePlan
) -> None:
    report = check(closed_plan(), make_image(DEBIAN, package("Flask", "3.1.3")))
    assert report.outcome is Outcome.PASSED
    assert sum(report.counts.values()) == 0


def test_an_ignore_file_lets_it_pass_and_is_named(
    sample: Path, tmp_path: Path, make_image: MakeImage, closed_plan: MakePlan
) -> None:
    rules = tmp_path / ".trivyignore.yaml"
    rules.write_text(
        "vulnerabilities:\n"
        "  - id: CVE-2023-30861\n"
        f"    paths: ['{PACKAGES}/**']\n"
        "    purls: ['pkg:pypi/flask']\n"
    )
    report = check(closed_plan(trivyignores=str(rules)), make_image(DEBIAN, package("Flask", "2.2.0")))
    assert report.outcome is Outcome.PASSED
    assert [finding.ignored_by for finding in report.ignored] == [".trivyignore.yaml:2"]


def test_the_callers_files_and_variables_for_trivy_change_nothing(
    sample: Path,
    tmp_path: Path,
    make_image: MakeImage,
    closed_plan: MakePlan,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "trivy.yaml").write_text("severity: [LOW]\n")
    (tmp_path / ".trivyignore").write_text("CVE-2023-30861\n")
    monkeypatch.chdir(tmp_path)
    image = make_image(DEBIAN, package("Flask", "2.2.0"))
    report = check(
        closed_plan(), image, TRIVY_SEVERITY="LOW", TRIVY_IGNOREFILE=str(tmp_path / ".trivyignore")
    )
    assert report.outcome is Outcome.FAILED
    assert "not read: TRIVY_IGNOREFILE, TRIVY_SEVERITY" in report.notices[-1]


def test_a_secret_in_the_image_is_refused_and_never_told(
    sample: Path, make_image: MakeImage, closed_plan: MakePlan
) -> None:
    image = make_image(DEBIAN, {"opt/app/token.py": f'TOKEN = "{TOKEN}"\nAFTER = "hunter2"\n'})
    plan, console = closed_plan(), Console(stream=io.StringIO())
    report = check(plan, image, console)
    assert [(finding.id, finding.path) for finding in report.refused] == [("github-pat", "/opt/app/token.py")]
    kept = (plan.settings.output / "trivy.json").read_text()
    for told in (repr(report), console.stream.getvalue(), kept):  # type: ignore[attr-defined]
        assert TOKEN not in told
        assert "hunter2" not in told


def test_secrets_are_searched_for_everywhere_but_in_installed_packages(
    sample: Path, make_image: MakeImage, closed_plan: MakePlan
) -> None:
    places = (f"{PACKAGES}/boto/key.py", "opt/ml/model/assets/words.txt", "opt/serving/serving/key.py")
    report = check(closed_plan(), make_image(DEBIAN, dict.fromkeys(places, f'TOKEN = "{TOKEN}"\n')))
    assert [finding.path for finding in report.refused] == [f"/{place}" for place in places[1:]]


def test_without_a_database_nothing_is_known(make_image: MakeImage, closed_plan: MakePlan) -> None:
    image = make_image(DEBIAN)
    with pytest.raises(NoDatabase) as caught:
        check(closed_plan(), image)
    assert caught.value.exit_code == 8


def test_a_database_that_cannot_be_fetched_is_an_error_even_with_a_sample_there(
    sample: Path, make_image: MakeImage, closed_plan: MakePlan
) -> None:
    plan = closed_plan(skip_db_update="false", db_repository="localhost:1/trivy-db:2", timeout="20s")
    with pytest.raises(DatabaseUnreachable, match="connection refused") as caught:
        check(plan, make_image(DEBIAN))
    assert caught.value.exit_code == 8


def test_layers_that_trivy_has_seen_need_not_be_there_again(
    sample: Path, make_image: MakeImage, closed_plan: MakePlan
) -> None:
    image = make_image(DEBIAN, package("Flask", "2.2.0"))
    first = check(closed_plan(), image)
    for layer in image.manifest.layers:
        image.content.layout.blob_path(layer.digest).unlink()
    assert check(closed_plan(), image) == first


def test_java_archives_are_not_passed_over_for_want_of_their_database(
    sample: Path, make_image: MakeImage, closed_plan: MakePlan
) -> None:
    with pytest.raises(NoJavaDatabase) as caught:
        check(closed_plan(), make_image(DEBIAN, {"opt/app/x.jar": "PK\5\6" + "\0" * 18}))
    assert caught.value.exit_code == 8


def test_a_damaged_database_is_an_error(sample: Path, make_image: MakeImage, closed_plan: MakePlan) -> None:
    os.truncate(sample / "trivy.db", 3000)
    with pytest.raises(DamagedDatabase, match="file size too small") as caught:
        check(closed_plan(), make_image(DEBIAN))
    assert caught.value.exit_code == 8


def test_two_scans_at_once_with_one_cache_both_answer(
    sample: Path, make_image: MakeImage, closed_plan: MakePlan
) -> None:
    image, plan = make_image(DEBIAN, package("Flask", "2.2.0")), closed_plan()
    outcomes: list[Outcome] = []
    runs = [threading.Thread(target=lambda: outcomes.append(check(plan, image).outcome)) for _ in range(2)]
    for one in runs:
        one.start()
    for one in runs:
        one.join()
    assert outcomes == [Outcome.FAILED, Outcome.FAILED]


def test_scanning_leaves_nothing_in_the_temporary_folder_or_in_the_database(
    sample: Path,
    tmp_path: Path,
    make_image: MakeImage,
    closed_plan: MakePlan,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = (sample / "trivy.db").read_bytes()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    check(closed_plan(), make_image(DEBIAN, package("Flask", "2.2.0")))
    assert list(scratch.iterdir()) == []
    assert (sample / "trivy.db").read_bytes() == before


def test_the_trivy_of_these_tests_is_found_on_path_and_new_enough(
    sample: Path, tmp_path: Path, make_image: MakeImage, closed_plan: MakePlan
) -> None:
    version = stamped_version(TRIVY)
    assert version is not None
    assert version >= OLDEST
    report = check(closed_plan(trivy_path=None), make_image(DEBIAN), PATH=str(TRIVY.parent))
    assert report.scanner == f"trivy {version}"
