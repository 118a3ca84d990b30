"""The scan stage: find trivy, see to its database, scan the layout, look into the model, decide."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ml_containerize.command import Run
from ml_containerize.console import Console
from ml_containerize.oci.image import Image
from ml_containerize.plan.decide import Plan
from ml_containerize.plan.model.model import OWN_LAYER_SIZE, Model
from ml_containerize.plan.settings.settings import Settings
from ml_containerize.results import Finding, Outcome, ScanReport
from ml_containerize.scan.analysis import Question, Scanner, TrivyFailed
from ml_containerize.scan.database import Database, current_database, exclusive
from ml_containerize.scan.download import ensure
from ml_containerize.scan.findings import SEVERITIES, Report, decode, parse_report
from ml_containerize.scan.ignore import read_rules
from ml_containerize.scan.model_file import check_model
from ml_containerize.scan.policy import Policy, Verdict, judge
from ml_containerize.scan.sarif import FILE_NAME as SARIF_NAME
from ml_containerize.scan.sarif import MOST_RESULTS, sarif_log, write_sarif
from ml_containerize.scan.trivy import Download, find_trivy

REPORT_NAME = "trivy.json"
CACHE_NAME = "trivy"  # trivy's own folder inside the cache; its database is in `db` there

_USUAL_RULES = ".trivyignore"  # trivy itself would read it in the current folder
_PLAIN_PATH = re.compile(r"[\w./-]+", re.ASCII)
_SWITCHED_OFF = "the scan was switched off: `scan: false`"
_NAMED = 5  # findings that a problem names; beyond that it counts


@dataclass(frozen=True, slots=True)
class Facts:
    """What trivy said of the image, with which database, and what must be said of that database."""

    report: Report
    database: Database | None
    notices: tuple[str, ...]


def scan(
    plan: Plan,
    image: Image,
    *,
    run: Run,
    console: Console,
    environ: Mapping[str, str],
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    download: Download = ensure,
) -> ScanReport:
    """Judge the image; raises EnvironmentMissing where nothing can be known, ScanError where trivy broke."""
    settings = plan.settings
    if not settings.scan:
        return ScanReport(Outcome.SKIPPED, image.digest, notices=(_SWITCHED_OFF,))
    rules = read_rules(settings.trivyignores)
    trivy = find_trivy(settings, environ=environ, run=run, console=console, download=download)
    scanner = Scanner(trivy, settings.cache / CACHE_NAME, run, environ)
    with exclusive(scanner.cache, console):
        facts = _gather(plan, image, scanner, console, now())
    model = check_model(plan.model, settings.allow_pickle)
    policy = Policy(settings.severity, settings.ignore_unfixed, rules, now())
    found = (*facts.report.findings, *model.findings)
    verdict = judge(found, policy)
    told = judge(found, replace(policy, severities=frozenset(SEVERITIES))).refused
    refusing = settings.severity if settings.exit_code else frozenset()
    write_sarif(settings.output, sarif_log(plan, told, refusing, str(trivy)))
    console.info(f"{facts.report.packages} packages, {_counted(verdict)}")
    return ScanReport(
        outcome=Outcome.FAILED if verdict.refused and settings.exit_code else Outcome.PASSED,
        digest=image.digest,
        scanner=str(trivy),
        database_updated=facts.database.date if facts.database else "",
        counts=verdict.counts,
        refused=verdict.refused,
        ignored=verdict.ignored,
        problems=tuple(_problems(verdict)) if settings.exit_code else (),
        notices=(
            *facts.notices,
            *_notices(facts.report, scanner, verdict, settings),
            *model.notices,
            *_untold(told),
        ),
    )


def _gather(plan: Plan, image: Image, scanner: Scanner, console: Console, now: datetime) -> Facts:
    settings = plan.settings
    database, notices = _database(settings, scanner, now) if "vuln" in settings.scanners else (None, ())
    console.info(f"{scanner.trivy}" + (f", database of {database.date}" if database else ""))
    question = Question(
        scanners=settings.scanners,
        timeout=settings.timeout,
        skip_files=large_files(plan.model),
        update=not settings.skip_db_update,
    )
    document = decode(_analyse(image, scanner, question, console), image.name)
    settings.output.mkdir(parents=True, exist_ok=True)
    (settings.output / REPORT_NAME).write_text(json.dumps(document, indent=1), encoding="utf-8")
    return Facts(parse_report(document, image.manifest.config.digest), database, notices)


def _database(settings: Settings, scanner: Scanner, now: datetime) -> tuple[Database, tuple[str, ...]]:
    def update() -> None:
        scanner.update_database(settings.db_repository, settings.timeout)

    return current_database(scanner.cache / "db", update=None if settings.skip_db_update else update, now=now)


def _analyse(image: Image, scanner: Scanner, question: Question, console: Console) -> bytes:
    """Trivy's report; layers that are not here are fetched only if trivy does not know them already."""
    layout = image.content.layout.path
    absent = [layer.descriptor for layer in image.layers if not image.content.has(layer.descriptor.digest)]
    if absent:
        try:
            return scanner.analyse(layout, question)
        except TrivyFailed:
            with console.progress("fetching layers", sum(layer.size for layer in absent)) as advance:
                for layer in absent:
                    image.content.pull(layer, advance)
    return scanner.analyse(layout, question)


def large_files(model: Model) -> tuple[str, ...]:
    """The model's large files, which hold weights: trivy would copy each one to search it for text.

    Trivy takes these as patterns, so a file whose name could be read as one is left to be searched.
    """
    paths = (str(file.image_path) for file in model.files if file.size >= OWN_LAYER_SIZE)
    return tuple(path for path in paths if _PLAIN_PATH.fullmatch(path))


def _problems(verdict: Verdict) -> Iterator[str]:
    refused = verdict.refused
    for finding in refused[:_NAMED]:
        fix = f", fixed in {finding.fixed}" if finding.fixed else ""
        package = f"{finding.package} {finding.installed}".rstrip()
        yield f"{finding.id} ({finding.severity}) in {package}{fix}: {finding.title}".removesuffix(": ")
    if len(refused) > _NAMED:
        yield f"{len(refused) - _NAMED} more findings are refused"


def _notices(report: Report, scanner: Scanner, verdict: Verdict, settings: Settings) -> Iterator[str]:
    if verdict.refused and not settings.exit_code:
        yield f"`exit-code: 0`: {len(verdict.refused)} findings that refuse the image were only reported"
    if report.end_of_life:
        yield f"{report.system} gets no security updates any more"
    if not report.packages and "vuln" in settings.scanners:
        yield "trivy recognised no packages in the image, so it could compare nothing with its database"
    if not settings.trivyignores and (settings.project / _USUAL_RULES).is_file():
        yield f"not read: the project's {_USUAL_RULES}; name it in `trivyignores` if it should count"
    if scanner.unread_variables:
        yield f"not read: {', '.join(scanner.unread_variables)}; the scan has inputs of its own"
    yield from verdict.notices


def _untold(told: Sequence[Finding]) -> Iterator[str]:
    if len(told) > MOST_RESULTS:
        yield f"{SARIF_NAME} has the {MOST_RESULTS} worst of {len(told)} findings; GitHub shows no more"


def _counted(verdict: Verdict) -> str:
    found = ", ".join(f"{count} {severity.lower()}" for severity, count in verdict.counts.items() if count)
    return (
        f"{found or 'no findings'}; {len(verdict.refused)} refused, {len(verdict.ignored)} accepted by a rule"
    )
